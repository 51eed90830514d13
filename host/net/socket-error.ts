// Why a name, a connection or a socket failed: one of the reasons that a meter can be told, and text for people.
import { Failure } from '../../as/abi/codes.ts';

/** Stable codes of `SocketError`, one for each `Failure`. */
export type SocketErrorCode =
  | 'dns'
  | 'connect'
  | 'tls'
  | 'tls-version'
  | 'alpn'
  | 'untrusted'
  | 'expired'
  | 'wrong-name'
  | 'wrong-usage'
  | 'timeout'
  | 'reset'
  | 'limit'
  | 'request';

type SocketFailure = Exclude<Failure, Failure.None>;

const codes: Record<SocketFailure, SocketErrorCode> = {
  [Failure.Dns]: 'dns',
  [Failure.Connect]: 'connect',
  [Failure.Tls]: 'tls',
  [Failure.TlsVersion]: 'tls-version',
  [Failure.Alpn]: 'alpn',
  [Failure.Untrusted]: 'untrusted',
  [Failure.Expired]: 'expired',
  [Failure.WrongName]: 'wrong-name',
  [Failure.WrongUsage]: 'wrong-usage',
  [Failure.Timeout]: 'timeout',
  [Failure.Reset]: 'reset',
  [Failure.Limit]: 'limit',
  [Failure.Request]: 'request',
};

/** What went wrong with one of a meter's sockets. */
export class SocketError extends Error {
  readonly code: SocketErrorCode;

  constructor(
    readonly failure: SocketFailure,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'SocketError';
    this.code = codes[failure];
  }
}

/** The message of anything thrown. */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(errorText).join('; ');
  return error instanceof Error ? error.message : String(error);
}
