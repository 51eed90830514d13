// What every test from end to end begins with: a gateway that trusts a lab authority, and meters on it.
import { Gateway, type GatewayOptions } from '../../host/gateway/gateway.ts';
import type { LinkTransport } from '../../host/link/transports.ts';
import type { SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { splitPem, TrustAnchors } from '../../host/net/trust-anchors.ts';
import type { LabCa } from '../../host/setup/lab-ca.ts';
import { type LabSettings, softwareMeter, storedLinkKey } from './meters.ts';
import { MeterWatch } from './watch.ts';

export function labGateway(ca: LabCa, options: Partial<GatewayOptions> = {}): Gateway {
  const gateway = new Gateway({ links: [], anchors: new TrustAnchors(splitPem(ca.certificatePem)), ...options });
  // Each watch listens for its meter.
  return gateway.setMaxListeners(100);
}

/** A gateway with one meter in software on it, which is off. */
export function labMeter(
  ca: LabCa,
  settings: LabSettings,
  {
    gateway: gatewayOptions = {},
    meter: meterOptions = {},
    line = (transport) => transport,
  }: {
    readonly gateway?: Partial<GatewayOptions>;
    readonly meter?: Partial<SoftwareMeterOptions>;
    /** What stands between link and gateway. */
    readonly line?: (transport: LinkTransport) => LinkTransport;
  } = {},
) {
  const linkKeys = new Map<string, Uint8Array>();
  const gateway = labGateway(ca, { linkKeys, ...gatewayOptions });
  const watch = new MeterWatch(gateway, settings.id);
  const { meter, transport, storage } = softwareMeter(settings, meterOptions);
  if (settings.sealedLink === true) linkKeys.set(settings.id, storedLinkKey(storage.contents));
  gateway.addLink(line(transport));
  return {
    gateway,
    watch,
    meter,
    storage,
    async stop() {
      await meter.stop();
      await gateway.stop();
    },
  };
}
