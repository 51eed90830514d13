// What known-answer tests in node reach of hash and signature; the names begin with `test`, firmware links none of them.
// What always holds: in a core without records they do nothing.

import { sha512Finish, sha512Start, sha512Update } from './sha512';

export function testSha512Start(): void {
  if (TARIFF == 0) return;
  sha512Start();
}

export function testSha512Update(at: usize, length: u32): void {
  if (TARIFF == 0) return;
  sha512Update(at, length);
}

export function testSha512Finish(to: usize): void {
  if (TARIFF == 0) return;
  sha512Finish(to);
}
