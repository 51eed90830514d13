// A second reader of A-XDR, written apart from host/dlms/axdr.ts and used by nothing but tests: it reads hexadecimal text
// with patterns, knows no limits, and gives bare JavaScript values.

const shapes: Record<string, (digits: string) => unknown> = {
  '05': (digits) => Number.parseInt(digits, 16) | 0,
  '06': (digits) => Number.parseInt(digits, 16),
  '0d': (digits) => (Number.parseInt(digits, 16) << 24) >> 24,
  '0f': (digits) => (Number.parseInt(digits, 16) << 24) >> 24,
  '10': (digits) => (Number.parseInt(digits, 16) << 16) >> 16,
  '11': (digits) => Number.parseInt(digits, 16),
  '12': (digits) => Number.parseInt(digits, 16),
  '14': (digits) => BigInt.asIntN(64, BigInt(`0x${digits}`)),
  '15': (digits) => BigInt(`0x${digits}`),
  '16': (digits) => Number.parseInt(digits, 16),
  '17': (digits) => new Float32Array(Uint32Array.of(Number.parseInt(digits, 16)).buffer)[0],
  '18': (digits) => new Float64Array(BigUint64Array.of(BigInt(`0x${digits}`)).buffer)[0],
  '03': (digits) => digits !== '00',
  '19': (digits) => digits,
  '1a': (digits) => digits,
  '1b': (digits) => digits,
};
const digitsOf: Record<string, number> = {
  ...{ '03': 2, '0d': 2, '0f': 2, '11': 2, '16': 2, '10': 4, '12': 4, '05': 8, '06': 8, '17': 8 },
  ...{ '14': 16, '15': 16, '18': 16, '19': 24, '1a': 10, '1b': 8 },
};

/** Bytes as hexadecimal text, numbers, lists, booleans, null. */
export function readHex(hex: string): unknown {
  let rest = hex.toLowerCase();
  const cut = (digits: number): string => {
    const piece = rest.slice(0, digits);
    if (piece.length < digits) throw new Error(`«${hex}» ends too early`);
    rest = rest.slice(digits);
    return piece;
  };
  const count = (): number => {
    const first = Number.parseInt(cut(2), 16);
    return first > 127 ? Number.parseInt(cut(2 * (first - 128)), 16) : first;
  };
  const one = (): unknown => {
    const tag = cut(2);
    if (tag === '00') return null;
    if (tag === '01' || tag === '02') return Array.from({ length: count() }, one);
    if (tag === '09') return cut(2 * count());
    if (tag === '0a' || tag === '0c') return Buffer.from(cut(2 * count()), 'hex').toString();
    if (tag === '04') {
      const bits = count();
      const digits = cut(2 * Math.ceil(bits / 8));
      return [...digits]
        .map((digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0'))
        .join('')
        .slice(0, bits);
    }
    const shape = shapes[tag];
    if (shape === undefined) throw new Error(`tag ${tag} in «${hex}»`);
    return shape(cut(digitsOf[tag]!));
  };
  const value = one();
  if (rest !== '') throw new Error(`«${rest}» is left of «${hex}»`);
  return value;
}
