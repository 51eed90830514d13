// NIST SP 800-90A (CTR_DRBG): from the validation program's files drbgvectors_no_reseed, AES-128 without derivation
// function, no additional input. Each: instantiate, generate 64 bytes and drop them, generate 64 bytes.
import { hex } from '../hex.ts';

export const outputs = [
  {
    name: 'no personalization, count 0',
    entropy: hex('ce50f33da5d4c1d3d4004eb35244b7f2cd7f2e5076fbf6780a7ff634b249a5fc'),
    personalization: hex(''),
    output: hex(`
      6545c0529d372443b392ceb3ae3a99a30f963eaf313280f1d1a1e87f9db373d3
      61e75d18018266499cccd64d9bbb8de0185f213383080faddec46bae1f784e5a`),
  },
  {
    name: 'no personalization, count 1',
    entropy: hex('a385f70a4d450321dfd18d8379ef8e7736fee5fbf0a0aea53b76696094e8aa93'),
    personalization: hex(''),
    output: hex(`
      1a062553ab60457ed1f1c52f5aca5a3be564a27545358c112ed92c6eae2cb759
      7cfcc2e0a5dd81c5bfecc941da5e8152a9010d4845170734676c8c1b6b3073a5`),
  },
  {
    name: 'personalization, count 0',
    entropy: hex('cee23de86a69c7ef57f6e1e12bd16e35e51624226fa19597bf93ec476a44b0f2'),
    personalization: hex('a2ef16f226ea324f23abd59d5e3c660561c25e73638fe21c87566e86a9e04c3e'),
    output: hex(`
      2a76d71b329f449c98dc08fff1d205a2fbd9e4ade120c7611c225c984eac8531
      288dd3049f3dc3bb3671501ab8fbf9ad49c86cce307653bd8caf29cb0cf07764`),
  },
  {
    name: 'personalization, count 1',
    entropy: hex('b09eb4a82a39066ec945bb7c6aef6a0682a62c3e674bd900297d4271a5f25b49'),
    personalization: hex('a3b768adcfe76d61c972d900da8dffeeb2a42e740247aa719ed1c924d2d10bd4'),
    output: hex(`
      5a1c26803f3ffd4daf32042fdcc32c3812bb5ef13bc208cef82ea047d2890a6f
      5dcecf32bcc32a2585775ac5e1ffaa8de00664c54fe00a7674b985619e953c3a`),
  },
];
