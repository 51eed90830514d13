// A TCP connection to the first of a host's addresses that answers: the next one is tried a quarter of a second after
// the one before, or at once when that has failed (RFC 8305 5); one of last resort, two seconds after. At most one
// connection is left open.
import { connect, type Socket } from 'node:net';
import { Failure } from '../../as/abi/codes.ts';
import type { Address } from './dns.ts';
import { errorText, SocketError } from './socket-error.ts';

const staggerMs = 250;
const lastResortMs = 2_000;

export interface Connected {
  /** Half-open is allowed: the peer's end does not end ours. */
  readonly socket: Socket;
  readonly address: Address;
}

/**
 * Connects to one of `addresses`.
 * @throws SocketError connect, when all failed or none answered within `timeoutMs`; reset, when all broke at once
 */
export function connectAny(
  addresses: readonly Address[],
  port: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Connected> {
  return new Promise((resolve, reject) => {
    const open = new Set<Socket>();
    const errors: string[] = [];
    let next = 0;
    let resets = 0;
    let stagger: NodeJS.Timeout | undefined;

    const finish = (settle: () => void, keep?: Socket) => {
      clearTimeout(deadline);
      clearTimeout(stagger);
      signal?.removeEventListener('abort', aborted);
      for (const socket of open) if (socket !== keep) socket.destroy();
      settle();
    };
    const fail = (text: string, failure: Failure.Connect | Failure.Reset = Failure.Connect) =>
      finish(() => reject(new SocketError(failure, text)));
    const aborted = () => fail('the connection was given up');

    const tryNext = () => {
      clearTimeout(stagger);
      const address = addresses[next++];
      if (address === undefined) {
        if (open.size > 0) return;
        if (errors.length === 0) fail('there is no address to connect to');
        else fail(errors.join('; '), resets === errors.length ? Failure.Reset : Failure.Connect);
        return;
      }
      const socket = connect({ host: address.address, port, allowHalfOpen: true, noDelay: true });
      open.add(socket);
      socket.once('error', (error) => {
        errors.push(`${address.address} port ${port}: ${explain(error)}`);
        if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') resets++;
        open.delete(socket);
        tryNext();
      });
      socket.once('connect', () => {
        socket.removeAllListeners('error');
        // Between here and the next listener an error is only an end.
        socket.on('error', () => {});
        finish(() => resolve({ socket, address }), socket);
      });
      stagger = setTimeout(tryNext, addresses[next]?.lastResort ? lastResortMs : staggerMs);
    };

    const deadline = setTimeout(
      () => fail([...errors, `no answer from port ${port} within ${timeoutMs} ms`].join('; ')),
      timeoutMs,
    );
    signal?.addEventListener('abort', aborted, { once: true });
    if (signal?.aborted) aborted();
    else tryNext();
  });
}

function explain(error: Error): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return 'unreachable';
    case 'ECONNRESET':
      return 'the connection broke at once';
    case 'ETIMEDOUT':
      return 'no answer';
    default:
      return errorText(error);
  }
}
