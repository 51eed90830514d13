// Reason codes of MQTT 5 (2.4) that a publisher can meet, as sentences for people.

const texts: Readonly<Record<number, string>> = {
  128: 'unspecified error',
  129: 'malformed packet',
  130: 'protocol error',
  131: 'the broker does not take it (implementation specific error)',
  132: 'the broker does not speak MQTT 5',
  133: 'the broker does not take this client identifier (mqtt.clientId)',
  134: 'wrong user name or password',
  135: 'not authorised; the broker must allow the gateway to publish to this topic',
  136: 'the broker is not available',
  137: 'the broker is busy',
  138: 'the broker has banned this client',
  139: 'the broker is shutting down',
  140: 'bad authentication method',
  141: 'the broker heard nothing for too long (mqtt.keepAliveSeconds)',
  142: 'another client has connected with the same client identifier; each gateway needs one of its own (mqtt.clientId)',
  144: 'the broker does not take this topic name',
  147: 'more messages at once than the broker allows',
  149: 'larger than the broker allows',
  150: 'more messages in a time than the broker allows',
  151: 'over the quota that the broker allows',
  152: 'closed by the administrator of the broker',
  153: 'the broker does not take this payload format',
  154: 'the broker does not keep retained messages, which metertime needs',
  155: 'the broker does not acknowledge messages (QoS 1), which metertime needs',
  156: 'another broker is to be used (mqtt.url)',
  157: 'the broker has moved (mqtt.url)',
  159: 'more connections in a time than the broker allows',
};

/** `not authorised; … (0x87)`. */
export function reasonText(reasonCode: number): string {
  const text = texts[reasonCode] ?? 'a reason that this version of metertime does not know';
  return `${text} (0x${reasonCode.toString(16).padStart(2, '0')})`;
}

/** The broker does not take the message because of its size: also given where the gateway does not even send it. */
export const packetTooLarge = 0x95;
