// Versions of software as people write them and as a meter compares them: 1.2.3 is 0x01020003.
// What always holds: a higher version is a higher number.

/** The number of a version: major and minor up to 255, patch up to 65,535; undefined where it is none. */
export function versionNumber(text: string): number | undefined {
  const [, major, minor, patch] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,5})$/.exec(text) ?? [];
  if (major === undefined || Number(major) > 0xff || Number(minor) > 0xff || Number(patch) > 0xffff) return undefined;
  return Number(major) * 0x1_00_0000 + Number(minor) * 0x1_0000 + Number(patch);
}

/** A version's number as people write it. */
export function versionText(version: number): string {
  return `${version >>> 24}.${(version >>> 16) & 0xff}.${version & 0xffff}`;
}
