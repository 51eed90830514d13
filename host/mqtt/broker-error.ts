// Why there is no connection to the broker: one sentence and a stable code for each cause, never with a secret in it.
import { reasonText } from './reason-codes.ts';

export type BrokerErrorCode =
  /** The broker does not speak MQTT 5. */
  | 'broker-version'
  /** User name, password or client certificate are not accepted. */
  | 'broker-login'
  /** The broker refused or closed the connection for another reason that it gave. */
  | 'broker-refused'
  /** No answer from the broker's address. */
  | 'broker-unreachable'
  /** TLS failed. */
  | 'broker-tls'
  /** The broker lacks something that metertime needs. */
  | 'broker-capability'
  /** The connection ended without a reason given. */
  | 'broker-lost'
  /** A file of the settings (password, certificate, key) cannot be read. */
  | 'broker-file';

export class BrokerError extends Error {
  override readonly name = 'BrokerError';

  constructor(
    readonly code: BrokerErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Numbers that brokers of MQTT 3.1.1 answer with (3.2.2.3 of its specification). */
const unsupportedVersion = [0x01, 0x84];
const loginRefused = [0x04, 0x05, 0x86, 0x87, 0x8c];

/** A CONNACK or DISCONNECT with this reason code. */
export function refusedBy(broker: string, reasonCode: number, reasonString?: string): BrokerError {
  if (unsupportedVersion.includes(reasonCode)) return versionError(broker);
  const said = reasonString ? `; it says: ${JSON.stringify(reasonString.slice(0, 200))}` : '';
  if (loginRefused.includes(reasonCode)) {
    return new BrokerError(
      'broker-login',
      `${broker} does not let this gateway in: wrong user name, password or client certificate, or not authorised (mqtt.username, mqtt.passwordFile, mqtt.certFile)${said}`,
    );
  }
  const code = reasonCode === 0x9a || reasonCode === 0x9b ? 'broker-capability' : 'broker-refused';
  return new BrokerError(code, `${broker} refused: ${reasonText(reasonCode)}${said}`);
}

/** The broker speaks an older version only. */
export function versionError(broker: string): BrokerError {
  return new BrokerError(
    'broker-version',
    `${broker} does not speak MQTT 5, which metertime needs; use a broker that does, such as mosquitto 1.6 or later`,
  );
}

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no network',
  ENOTFOUND: 'the name does not exist',
  EAI_AGAIN: 'no DNS server answers',
  ETIMEDOUT: 'no answer',
};

const tlsReasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the broker's certificate has expired (or this machine's clock is wrong)",
  CERT_NOT_YET_VALID: "the broker's certificate is not valid yet (or this machine's clock is wrong)",
  ERR_TLS_CERT_ALTNAME_INVALID: "the broker's certificate is for another name than that of mqtt.url",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the broker's certificate leads to no trusted authority (mqtt.caFile)",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the broker's certificate leads to no trusted authority (mqtt.caFile)",
  SELF_SIGNED_CERT_IN_CHAIN: "the broker's certificate leads to no trusted authority (mqtt.caFile)",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the broker's certificate signs itself and is not trusted (mqtt.caFile)",
  HOSTNAME_MISMATCH: "the broker's certificate is for another name than that of mqtt.url",
  INVALID_PURPOSE:
    "the broker's certificate is not meant for servers (its extended key usage lacks serverAuth); issue another one",
  INVALID_CA: "the broker's certificate is signed by a certificate that is no authority",
  PATH_LENGTH_EXCEEDED: "the broker's certificate has more authorities above it than one of them allows",
  CERT_SIGNATURE_FAILURE: "a signature in the broker's chain of certificates is wrong",
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'certificate and key do not belong together (mqtt.certFile, mqtt.keyFile)',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the broker does not speak TLS on this port',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the broker wants a client certificate (mqtt.certFile, mqtt.keyFile)',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the broker does not trust the client certificate (mqtt.certFile)',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'the broker does not accept the client certificate (mqtt.certFile)',
  ERR_SSL_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the broker wants a client certificate (mqtt.certFile, mqtt.keyFile)',
};

/** Codes of TLS, and of what OpenSSL finds wrong with certificates (X509_V_ERR_… without that). */
const tlsCode = /^(ERR_SSL|ERR_OSSL|ERR_TLS|EPROTO|CERT_|CRL_|ERROR_IN_C|UNABLE_TO|UNSPECIFIED)/;

/** How far a connection had come when it failed. */
export interface Progress {
  /** Whether mqtt.url asks for TLS. */
  readonly tls: boolean;
  /** Whether a packet of MQTT had come. */
  readonly answered: boolean;
}

/** The connection ended before a packet of MQTT had come, without a reason given. */
export function closedUnanswered(broker: string, { tls }: Pick<Progress, 'tls'>, cause?: unknown): BrokerError {
  const perhaps = tls ? '' : ', or expects TLS (mqtts, wss)';
  return new BrokerError(
    'broker-lost',
    `${broker} closed the connection before it answered; perhaps it does not speak MQTT 5${perhaps}`,
    { cause },
  );
}

/** Any error of the client or its socket. */
export function connectionError(broker: string, cause: unknown, progress?: Progress): BrokerError {
  if (cause instanceof BrokerError) return cause;
  const { code, message } = cause as { code?: unknown; message?: string };
  if (typeof code === 'number') return refusedBy(broker, code);
  const name = typeof code === 'string' ? code : '';
  if (unreachable[name] !== undefined) {
    return new BrokerError('broker-unreachable', `${broker} cannot be reached: ${unreachable[name]}`, { cause });
  }
  if (tlsReasons[name] !== undefined || tlsCode.test(name)) {
    // OpenSSL's sentence where the code says nothing.
    const reason = tlsReasons[name] ?? (name === 'UNSPECIFIED' ? message : name);
    return new BrokerError('broker-tls', `TLS with ${broker} failed: ${reason}`, { cause });
  }
  const isUnanswered = progress?.answered === false;
  const isReset = name === 'ECONNRESET' || name === 'EPIPE';
  if (isUnanswered && isReset && !progress.tls) return closedUnanswered(broker, progress, cause);
  if (isUnanswered && isReset) {
    return new BrokerError(
      'broker-tls',
      `TLS with ${broker} failed: it closed the connection; perhaps it does not speak TLS on this port (mqtt.url)`,
      { cause },
    );
  }
  if (/connack timeout/i.test(message ?? '')) {
    return new BrokerError('broker-unreachable', `${broker} does not answer: no CONNACK came`, { cause });
  }
  if (/keepalive timeout/i.test(message ?? '')) {
    return new BrokerError('broker-lost', `the connection to ${broker} is lost: it stopped answering`, { cause });
  }
  if (isUnanswered && name === '') {
    const perhaps = progress.tls ? '' : '; perhaps it expects TLS (mqtts, wss)';
    return new BrokerError('broker-lost', `${broker} answered with what is not MQTT 5${perhaps}`, { cause });
  }
  return new BrokerError('broker-lost', `the connection to ${broker} failed${name === '' ? '' : ` (${name})`}`, {
    cause,
  });
}
