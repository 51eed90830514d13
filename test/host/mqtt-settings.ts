// Settings of a broker as the gateway's defaults have them, but with a will that is said at once.
import type { MqttSettings } from '../../host/config/settings.ts';

/** @param more what differs */
export function mqttSettings(url: string, more: Partial<MqttSettings> = {}): MqttSettings {
  return {
    url,
    clientId: 'metertime-g1',
    keepAliveSeconds: 30,
    willDelaySeconds: 0,
    topicPrefix: 'metertime',
    timeExpirySeconds: 900,
    recordFormat: 'json',
    commands: true,
    homeAssistant: false,
    ...more,
  };
}
