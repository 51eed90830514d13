// A client of the MQTT library whose broker's name is looked up apart from this process (net/lookup.ts): a lookup that
// never ends would else keep threads of node for good, and each attempt to connect begins another one.
import { connect } from 'node:net';
import mqtt, { type IClientOptions, MqttClient } from 'mqtt';
import { socketLookup } from '../net/lookup.ts';

/** As `mqtt.connect`; `host` and `protocol` are given, a user's certificate only where `protocol` is one of TLS. */
export function connectClient(options: IClientOptions): MqttClient {
  const { protocol, host = '', port = 1883 } = options;
  // The library hands no lookup on where it opens plain TCP.
  if (protocol === 'mqtt') return new MqttClient(() => connect({ host, port, lookup: socketLookup }), options);
  const lookup = { lookup: socketLookup };
  return mqtt.connect({ ...options, ...(protocol === 'mqtts' ? lookup : { wsOptions: lookup }) } as IClientOptions);
}
