// Which connections a listener takes in: who is turned away, who makes room, and when.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AcceptedLinks, type AcceptLimits, peerOf } from '../../../host/link/accepted-links.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A listener's bookkeeping, its connections by name, and what became of them. */
function bookkeeping(limits: Partial<AcceptLimits>) {
  const links = new AcceptedLinks(limits);
  const sockets = new Map<string, Socket>();
  const ended: Record<string, string> = {};
  const socketOf = (name: string) => sockets.get(name)!;
  return {
    ended,
    /** True when it was taken in. */
    connect(name: string, remoteAddress = name): boolean {
      const socket = Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;
      sockets.set(name, socket);
      const refused = links.admit(socket, (reason) => {
        ended[name] = reason;
        socket.emit('close');
      });
      if (refused !== undefined) ended[name] = refused;
      return refused === undefined;
    },
    session: (name: string, stands: boolean) => links.session(socketOf(name), stands),
    close: (name: string) => socketOf(name).emit('close'),
  };
}

test('without a session for too long, it is closed; the time counts anew when a session has ended', () => {
  const { connect, session, ended } = bookkeeping({ sessionMs: 15_000 });
  connect('silent');
  connect('meter');
  session('meter', true);
  vi.advanceTimersByTime(14_999);
  expect(ended).toEqual({});
  vi.advanceTimersByTime(1);
  expect(ended).toEqual({ silent: 'it had no session for 15 s' });
  vi.advanceTimersByTime(3_600_000);
  session('meter', false);
  vi.advanceTimersByTime(14_000);
  // Told again that none stands: the time runs on.
  session('meter', false);
  expect(Object.keys(ended)).toEqual(['silent']);
  vi.advanceTimersByTime(1_000);
  expect(Object.keys(ended)).toEqual(['silent', 'meter']);
});

test('of one peer so many wait, and any number has a session', () => {
  const { connect, session, ended } = bookkeeping({ waitingPerPeer: 2 });
  for (let number = 0; number < 20; number++) {
    expect(connect(`meter ${number}`, '192.0.2.1')).toBe(true);
    session(`meter ${number}`, true);
  }
  expect(connect('a', '192.0.2.1')).toBe(true);
  expect(connect('b', '192.0.2.1')).toBe(true);
  expect(connect('c', '192.0.2.1')).toBe(false);
  expect(connect('d', '192.0.2.2')).toBe(true);
  expect(ended).toEqual({ c: '2 connections of this peer have no session yet' });
});

test('one that waits makes room for the next of its peer, but not before it had the time for a session', () => {
  const { connect, ended } = bookkeeping({ waitingPerPeer: 2, certainMs: 3_000 });
  connect('a', '192.0.2.1');
  vi.advanceTimersByTime(1_000);
  connect('b', '192.0.2.1');
  connect('other');
  vi.advanceTimersByTime(1_999);
  expect(connect('c', '192.0.2.1')).toBe(false);
  vi.advanceTimersByTime(1);
  expect(connect('d', '192.0.2.1')).toBe(true);
  expect(connect('e', '192.0.2.1')).toBe(false);
  expect(Object.keys(ended)).toEqual(['c', 'a', 'e']);
});

test('when all places are taken, the one that has waited longest makes room; meters with a session stay', () => {
  const { connect, session, close, ended } = bookkeeping({ places: 3, certainMs: 3_000, sessionMs: 60_000 });
  connect('meter');
  session('meter', true);
  connect('a');
  connect('b');
  expect(connect('early')).toBe(false);
  vi.advanceTimersByTime(3_000);
  expect(connect('c')).toBe(true);
  expect(Object.keys(ended)).toEqual(['early', 'a']);
  session('b', true);
  session('c', true);
  expect(connect('d')).toBe(false);
  expect(ended.d).toBe('all 3 places are taken');
  close('meter');
  expect(connect('e')).toBe(true);
});

test('room is made once, also where peer and places are full', () => {
  const { connect, ended } = bookkeeping({ places: 3, waitingPerPeer: 2, certainMs: 0 });
  connect('other');
  connect('a', '192.0.2.1');
  connect('b', '192.0.2.1');
  expect(connect('c', '192.0.2.1')).toBe(true);
  expect(Object.keys(ended)).toEqual(['a']);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:5::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  ['', ''],
])('the peer of %s is %s', (address, peer) => expect(peerOf(address)).toBe(peer));
