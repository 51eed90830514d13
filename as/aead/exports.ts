// What known-answer tests in node reach of the ciphers; the names begin with `test`, firmware links
// none of them. Each does what the function behind it says; all lengths are bytes.

import { AEAD_CONTEXT } from './aead';
import { CMAC_CONTEXT_BYTES } from './cmac';
import { DRBG_STATE } from './drbg';
import { SIV_CONTEXT_BYTES } from './siv';

export {
  aeadKeyBytes as testAeadKeyBytes,
  aeadNonceBytes as testAeadNonceBytes,
  aeadOpen as testAeadOpen,
  aeadSeal as testAeadSeal,
  aeadSetKey as testAeadSetKey,
  aeadTextOffset as testAeadTextOffset,
  aeadWipe as testAeadWipe,
} from './aead';
export { aesEncrypt as testAesEncrypt, aesExpandKey as testAesExpandKey, aesXorPair as testAesXorPair } from './aes';
export {
  cmacFinish as testCmacFinish,
  cmacSetKey as testCmacSetKey,
  cmacStart as testCmacStart,
  cmacUpdate as testCmacUpdate,
} from './cmac';
export { equalBytes as testEqualBytes, wipe as testWipe } from './constant-time';
export {
  drbgGenerate as testDrbgGenerate,
  drbgInstantiate as testDrbgInstantiate,
  drbgReseed as testDrbgReseed,
} from './drbg';
export { deriveKey as testDeriveKey } from './kdf';
export { polyvalBlock as testPolyvalBlock } from './polyval';
export {
  sivAd as testSivAd,
  sivOpen as testSivOpen,
  sivSeal as testSivSeal,
  sivSetKey as testSivSetKey,
  sivStart as testSivStart,
} from './siv';

/** First byte of what the core itself never uses, up to the page's end: room for contexts, inputs and outputs. */
export function testScratch(): usize {
  return __heap_base;
}

/** Where the context of `aeadSetKey` is; a SIV context. */
export function testAeadContext(): usize {
  return AEAD_CONTEXT;
}

export function testCmacContextBytes(): u32 {
  return CMAC_CONTEXT_BYTES;
}

export function testSivContextBytes(): u32 {
  return SIV_CONTEXT_BYTES;
}

/** Where the generator's state is, laid out as in drbg.ts. */
export function testDrbgState(): usize {
  return DRBG_STATE;
}
