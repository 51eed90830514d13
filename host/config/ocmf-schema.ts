// The settings `ocmf` of a gateway: what its transactions are signed with, and what stands in their data sets.
// What always holds: no key and no PIN stands in the settings themselves.
import { z } from 'zod';
import { identificationOf, tariffTextMost } from '../ocmf/payload.ts';
import { expectedObis, obisBytes } from '../provision/tariff-settings.ts';
import { fileSetting, settingMeta as meta, settingsRule as rule } from './setting-meta.ts';

/** Environment variable that has the PIN of the token where no file has it. */
export const pinVariable = 'METERTIME_TOKEN_PIN';

const text = (most: number) => z.string().min(1).max(most);

const chargePoint = z.strictObject({
  keysFile: fileSetting({ description: 'Its keys.' }),
  evse: text(128).optional(),
  vendor: text(128).optional(),
  register: z
    .string()
    .refine((code) => obisBytes(code) !== undefined, { error: expectedObis })
    .optional(),
  current: z.enum(['AC', 'DC']).optional(),
  user: z
    .string()
    .refine((user) => identificationOf(user) !== undefined, {
      error: 'expected TYPE:DATA, such as ISO14443:1F2D3A4F',
    })
    .optional(),
  tariffText: text(tariffTextMost).optional(),
});

export const ocmfSchema = z
  .strictObject({
    keyFile: fileSetting({
      description: 'Private key (PEM, EC on secp256r1, no passphrase) that signs; refused where everyone can read it.',
      example: '/etc/metertime/ocmf.pem',
    }).optional(),
    tokenModule: fileSetting({
      description: 'PKCS #11 module, where a key in a token signs instead.',
      example: '/usr/lib/softhsm/libsofthsm2.so',
    }).optional(),
    tokenLabel: text(32)
      .optional()
      .meta(meta({ description: 'The token; needed where there are several.', example: 'charger' })),
    tokenKey: text(255)
      .optional()
      .meta(meta({ description: 'Label of the key pair in the token.', example: 'ocmf' })),
    tokenPinFile: fileSetting({
      description: `File that holds the PIN of the token, one line; refused where everyone can read it. Without it, the PIN is that of the environment variable ${pinVariable}.`,
      example: '/etc/metertime/token-pin',
    }).optional(),
    gateway: text(128)
      .default('metertime')
      .meta(meta({ description: 'GI: what signs, as its maker calls it.' })),
    gatewaySerial: text(128).meta(meta({ description: 'GS: its serial number.', example: 'gw-0001' })),
    meters: z
      .array(chargePoint)
      .min(1)
      .meta(
        meta({
          description:
            'The meters whose transactions are signed. Of each: keysFile (its keys, as metertime provision --keys writes them; refused where everyone can read the file) and, where they are to stand in its data sets, evse (CI), vendor (MV), register (OBIS code of the register that is billed; without it, the first one in Wh), current (AC or DC), user (who is charged, as TYPE:DATA; without it, nobody is named) and tariffText (TT).',
          example: [{ keysFile: '/etc/metertime/m1.keys.json', evse: 'DE*ABC*E1', current: 'DC' }],
        }),
      ),
  })
  .refine(
    (ocmf) => ocmf.keyFile !== undefined || ocmf.tokenModule !== undefined,
    rule('keyFile', 'expected it, or tokenModule: something has to sign'),
  )
  .refine(
    (ocmf) => ocmf.keyFile === undefined || ocmf.tokenModule === undefined,
    rule('tokenModule', 'expected either keyFile or tokenModule, not both'),
  )
  .refine(
    (ocmf) => ocmf.tokenModule === undefined || ocmf.tokenKey !== undefined,
    rule('tokenModule', 'expected tokenKey beside it'),
  )
  .refine(
    ({ tokenModule, tokenKey, tokenLabel, tokenPinFile }) =>
      tokenModule !== undefined || (tokenKey ?? tokenLabel ?? tokenPinFile) === undefined,
    rule('tokenModule', 'expected it beside what else is said of the token'),
  )
  .meta(
    meta({
      description:
        'Charging transactions as signed OCMF data sets. Without it, none are made; with it, one is published at the end of each transaction of the meters below.',
    }),
  );
