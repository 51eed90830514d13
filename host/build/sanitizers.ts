// What the compiler can watch in a process that it builds.

export const sanitizerNames = ['address', 'undefined'] as const;
export type Sanitizer = (typeof sanitizerNames)[number];

/** Flags for the compiler and the linker; none without sanitizers. */
export function sanitizerFlags(names: readonly Sanitizer[]): string[] {
  if (names.length === 0) return [];
  const flags = [`-fsanitize=${[...new Set(names)].sort().join(',')}`, '-fno-sanitize-recover=all'];
  return [...flags, '-fno-sanitize=nonnull-attribute', '-fno-omit-frame-pointer'];
}
