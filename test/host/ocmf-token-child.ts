// Signs with a key in a token, in a process of its own: the token's libraries are found by its environment.
//
//   node ocmf-token-child.mjs MODULE TOKEN LABEL PIN PAYLOAD   prints { text, publicKeyPem }, or { code, message }
import { OcmfError } from '../../host/ocmf/from-records.ts';
import { signOcmf, tokenSigner } from '../../host/ocmf/signer.ts';

const [module, token, label, pin, payload] = process.argv.slice(2) as [string, string, string, string, string];
try {
  const signer = await tokenSigner({ module, token: token || undefined, label, pin });
  const texts = [signOcmf(payload, signer), signOcmf(payload, signer)];
  signer.close();
  console.log(JSON.stringify({ texts, publicKeyPem: signer.publicKeyPem }));
} catch (error) {
  if (!(error instanceof OcmfError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
