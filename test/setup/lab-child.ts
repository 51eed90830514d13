// Makes the folder of a server, and exits before the server is started.
import { makeFolder } from '../../host/setup/lab-server.ts';

console.log(makeFolder('child'));
process.exit(3);
