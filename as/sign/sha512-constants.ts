// The constants of SHA-512 (FIPS 180-4 4.2.3 and 5.3.5): 64 bits behind the point of the cube roots of the first 80
// primes, and of the square roots of the first eight.
// What always holds: they are code, not data, since data of a module lies in RAM: wasm2c makes a switch of it, and gcc
// of the switch a table of 704 bytes among the constants in flash.

function word(high: u32, low: u32): u64 {
  return ((<u64>high) << 32) | low;
}

/** Where the state at the beginning of a hash follows. */
export const INITIAL_STATE: u32 = 80;

/** K of a round (0 to 79), or a word of the first state (from INITIAL_STATE on). The time may depend on which one. */
export function sha512Constant(which: u32): u64 {
  switch (which) {
    case 0:
      return word(0x428a2f98, 0xd728ae22);
    case 1:
      return word(0x71374491, 0x23ef65cd);
    case 2:
      return word(0xb5c0fbcf, 0xec4d3b2f);
    case 3:
      return word(0xe9b5dba5, 0x8189dbbc);
    case 4:
      return word(0x3956c25b, 0xf348b538);
    case 5:
      return word(0x59f111f1, 0xb605d019);
    case 6:
      return word(0x923f82a4, 0xaf194f9b);
    case 7:
      return word(0xab1c5ed5, 0xda6d8118);
    case 8:
      return word(0xd807aa98, 0xa3030242);
    case 9:
      return word(0x12835b01, 0x45706fbe);
    case 10:
      return word(0x243185be, 0x4ee4b28c);
    case 11:
      return word(0x550c7dc3, 0xd5ffb4e2);
    case 12:
      return word(0x72be5d74, 0xf27b896f);
    case 13:
      return word(0x80deb1fe, 0x3b1696b1);
    case 14:
      return word(0x9bdc06a7, 0x25c71235);
    case 15:
      return word(0xc19bf174, 0xcf692694);
    case 16:
      return word(0xe49b69c1, 0x9ef14ad2);
    case 17:
      return word(0xefbe4786, 0x384f25e3);
    case 18:
      return word(0x0fc19dc6, 0x8b8cd5b5);
    case 19:
      return word(0x240ca1cc, 0x77ac9c65);
    case 20:
      return word(0x2de92c6f, 0x592b0275);
    case 21:
      return word(0x4a7484aa, 0x6ea6e483);
    case 22:
      return word(0x5cb0a9dc, 0xbd41fbd4);
    case 23:
      return word(0x76f988da, 0x831153b5);
    case 24:
      return word(0x983e5152, 0xee66dfab);
    case 25:
      return word(0xa831c66d, 0x2db43210);
    case 26:
      return word(0xb00327c8, 0x98fb213f);
    case 27:
      return word(0xbf597fc7, 0xbeef0ee4);
    case 28:
      return word(0xc6e00bf3, 0x3da88fc2);
    case 29:
      return word(0xd5a79147, 0x930aa725);
    case 30:
      return word(0x06ca6351, 0xe003826f);
    case 31:
      return word(0x14292967, 0x0a0e6e70);
    case 32:
      return word(0x27b70a85, 0x46d22ffc);
    case 33:
      return word(0x2e1b2138, 0x5c26c926);
    case 34:
      return word(0x4d2c6dfc, 0x5ac42aed);
    case 35:
      return word(0x53380d13, 0x9d95b3df);
    case 36:
      return word(0x650a7354, 0x8baf63de);
    case 37:
      return word(0x766a0abb, 0x3c77b2a8);
    case 38:
      return word(0x81c2c92e, 0x47edaee6);
    case 39:
      return word(0x92722c85, 0x1482353b);
    case 40:
      return word(0xa2bfe8a1, 0x4cf10364);
    case 41:
      return word(0xa81a664b, 0xbc423001);
    case 42:
      return word(0xc24b8b70, 0xd0f89791);
    case 43:
      return word(0xc76c51a3, 0x0654be30);
    case 44:
      return word(0xd192e819, 0xd6ef5218);
    case 45:
      return word(0xd6990624, 0x5565a910);
    case 46:
      return word(0xf40e3585, 0x5771202a);
    case 47:
      return word(0x106aa070, 0x32bbd1b8);
    case 48:
      return word(0x19a4c116, 0xb8d2d0c8);
    case 49:
      return word(0x1e376c08, 0x5141ab53);
    case 50:
      return word(0x2748774c, 0xdf8eeb99);
    case 51:
      return word(0x34b0bcb5, 0xe19b48a8);
    case 52:
      return word(0x391c0cb3, 0xc5c95a63);
    case 53:
      return word(0x4ed8aa4a, 0xe3418acb);
    case 54:
      return word(0x5b9cca4f, 0x7763e373);
    case 55:
      return word(0x682e6ff3, 0xd6b2b8a3);
    case 56:
      return word(0x748f82ee, 0x5defb2fc);
    case 57:
      return word(0x78a5636f, 0x43172f60);
    case 58:
      return word(0x84c87814, 0xa1f0ab72);
    case 59:
      return word(0x8cc70208, 0x1a6439ec);
    case 60:
      return word(0x90befffa, 0x23631e28);
    case 61:
      return word(0xa4506ceb, 0xde82bde9);
    case 62:
      return word(0xbef9a3f7, 0xb2c67915);
    case 63:
      return word(0xc67178f2, 0xe372532b);
    case 64:
      return word(0xca273ece, 0xea26619c);
    case 65:
      return word(0xd186b8c7, 0x21c0c207);
    case 66:
      return word(0xeada7dd6, 0xcde0eb1e);
    case 67:
      return word(0xf57d4f7f, 0xee6ed178);
    case 68:
      return word(0x06f067aa, 0x72176fba);
    case 69:
      return word(0x0a637dc5, 0xa2c898a6);
    case 70:
      return word(0x113f9804, 0xbef90dae);
    case 71:
      return word(0x1b710b35, 0x131c471b);
    case 72:
      return word(0x28db77f5, 0x23047d84);
    case 73:
      return word(0x32caab7b, 0x40c72493);
    case 74:
      return word(0x3c9ebe0a, 0x15c9bebc);
    case 75:
      return word(0x431d67c4, 0x9c100d4c);
    case 76:
      return word(0x4cc5d4be, 0xcb3e42b6);
    case 77:
      return word(0x597f299c, 0xfc657e2a);
    case 78:
      return word(0x5fcb6fab, 0x3ad6faec);
    case 79:
      return word(0x6c44198c, 0x4a475817);
    case 80:
      return word(0x6a09e667, 0xf3bcc908);
    case 81:
      return word(0xbb67ae85, 0x84caa73b);
    case 82:
      return word(0x3c6ef372, 0xfe94f82b);
    case 83:
      return word(0xa54ff53a, 0x5f1d36f1);
    case 84:
      return word(0x510e527f, 0xade682d1);
    case 85:
      return word(0x9b05688c, 0x2b3e6c1f);
    case 86:
      return word(0x1f83d9ab, 0xfb41bd6b);
    case 87:
      return word(0x5be0cd19, 0x137e2179);
    default:
      return unreachable();
  }
}
