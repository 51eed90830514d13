// A gateway as its settings file says it, in a process that can be killed: `node gateway-child.mjs SETTINGS`. Prints
// "started", and its log.
import { GatewayService } from '../../host/cli/gateway-service.ts';
import { loadSettings } from '../../host/config/settings.ts';
import { createLogger } from '../../host/log.ts';

const log = createLogger({ level: 'info', json: false, stream: process.stderr });
const service = new GatewayService({ settings: loadSettings(process.argv[2]!), log, version: '0.0.0-test' });
await service.start();
console.log('started');
