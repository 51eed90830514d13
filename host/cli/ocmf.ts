// metertime ocmf FILE…: charging transactions as signed OCMF data sets, from the records that a meter sealed.
import { Command, InvalidArgumentError, Option } from 'commander';
import { readFileWithin, readTextWithin } from '../files.ts';
import { entriesOf } from '../ocmf/collect.ts';
import { OcmfError, type OcmfOptions } from '../ocmf/from-records.ts';
import { identificationOf, type OcmfIdentification } from '../ocmf/payload.ts';
import { fileSigner, type OcmfSigner, signOcmf, spkiOf, tokenSigner } from '../ocmf/signer.ts';
import { Transactions } from '../ocmf/transactions.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { sequenceNumber } from './options.ts';
import { version } from './program-info.ts';
import { readTrust, type TrustOptions } from './verify.ts';

const fileBytes = 268_435_456;
const pinBytes = 256;

interface Options extends TrustOptions {
  readonly transaction?: number;
  readonly signKey?: string;
  readonly pkcs11Module?: string;
  readonly pkcs11Token?: string;
  readonly pkcs11Key?: string;
  readonly pkcs11PinFile?: string;
  readonly gateway: string;
  readonly gatewaySerial: string;
  readonly vendor?: string;
  readonly register?: string;
  readonly current?: 'AC' | 'DC';
  readonly user?: OcmfIdentification;
  readonly evse?: string;
  readonly tariffText?: string;
  readonly json?: boolean;
}

export function ocmfCommand(context: Context): Command {
  const command = new Command('ocmf')
    .summary('charging transactions as signed OCMF data sets')
    .description(
      'Makes a data set of the Open Charge Metering Format of each transaction whose begin and end are among the records, checks the seal of each of its records first, and signs it. Files hold lines of JSON as MQTT publishes them, or entries of 128 bytes, with the contexts that the records name.',
    )
    .argument('<files...>', "a meter's records")
    .option('--keys <file>', "the meter's keys, as metertime provision --keys writes them")
    .option('--record-key <file>', 'its record key alone: 16 bytes or 32 hexadecimal digits')
    .option('--transaction <number>', 'this one alone', sequenceNumber)
    .option('--sign-key <file>', 'sign with the key in this file: EC on secp256r1, PEM')
    .option('--pkcs11-module <file>', 'sign with a key in a token: the PKCS #11 module')
    .option('--pkcs11-token <label>', 'the token; needed where there are several')
    .option('--pkcs11-key <label>', 'the key pair in it')
    .option('--pkcs11-pin-file <file>', 'its PIN')
    .option('--gateway <name>', 'GI: what signs, as its maker calls it', 'metertime')
    .requiredOption('--gateway-serial <serial>', 'GS: its serial number')
    .option('--vendor <name>', 'MV: maker of the meter')
    .option('--register <obis>', "RI: the register that is billed (default: the meter's first one in Wh)")
    .addOption(new Option('--current <type>', 'RT: current that is measured').choices(['AC', 'DC']))
    .option('--user <type:data>', 'IT and ID: who is charged, such as ISO14443:1F2D3A4F', userOf)
    .option('--evse <id>', 'CI: EVSE id of the charge point')
    .option('--tariff-text <text>', 'TT')
    .option('--json', 'print data sets and public key as JSON')
    .action(async (files: string[], options: Options) => {
      await ocmf(context, files, options);
    });
  return withHelp(command, {
    examples: [
      ['ocmf records.ndjson --keys m1.keys.json --sign-key ocmf.pem --gateway-serial gw-1', 'all whole transactions'],
      [
        'ocmf records.ndjson --keys m1.keys.json --sign-key ocmf.pem --gateway-serial gw-1 --transaction 7',
        'one of them',
      ],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

function userOf(text: string): OcmfIdentification {
  const user = identificationOf(text);
  if (user === undefined) throw new InvalidArgumentError('Expected TYPE:DATA, such as ISO14443:1F2D3A4F.');
  return user;
}

async function ocmf(context: Context, files: readonly string[], options: Options): Promise<void> {
  const { recordKey, meter } = readTrust(options);
  if (recordKey === undefined) {
    throw usageError("seals are checked before anything is signed: add the meter's --keys, or its --record-key");
  }
  const signer = await signerOf(options);
  try {
    const entries = files.flatMap((path) => entriesOf(path, readFileWithin(path, fileBytes), recordKey));
    const transactions = new Transactions(entries, { recordKey, meter });
    const { whole } = transactions;
    const wanted = options.transaction === undefined ? whole : [options.transaction];
    if (wanted.length === 0) throw nothingWhole(transactions);
    const sets = wanted.map((transaction) => ({
      transaction,
      ocmf: signOcmf(transactions.payload(transaction, optionsOf(options)), signer),
    }));
    const publicKeyHex = spkiOf(signer.publicKeyPem).toString('hex');
    if (options.json === true) context.terminal.printJson({ publicKeyHex, sets });
    else for (const set of sets) context.terminal.print(set.ocmf);
  } finally {
    signer.close();
  }
}

function nothingWhole({ records, withoutContext }: Transactions): OcmfError {
  const lacking = withoutContext === 0 ? '' : `, and ${withoutContext} more whose context is not there`;
  return new OcmfError(
    'transaction',
    `expected begin and end of a transaction, came ${records} records without${lacking}; give all from a context before the begin to the end`,
  );
}

function optionsOf(options: Options): OcmfOptions {
  return {
    gateway: { identification: options.gateway, serial: options.gatewaySerial, version },
    vendor: options.vendor,
    identification: options.user,
    chargePoint: options.evse === undefined ? undefined : { type: 'EVSEID', id: options.evse },
    tariffText: options.tariffText,
    register: options.register,
    currentType: options.current,
  };
}

async function signerOf(options: Options): Promise<OcmfSigner> {
  const { signKey, pkcs11Module: module, pkcs11Key: label, pkcs11PinFile: pinFile, pkcs11Token: token } = options;
  if ((signKey === undefined) === (module === undefined)) {
    throw usageError('a data set is signed with --sign-key FILE, or with --pkcs11-module and what belongs to it');
  }
  if (signKey !== undefined) return fileSigner(signKey);
  if (module === undefined || label === undefined || pinFile === undefined) {
    throw usageError('--pkcs11-module needs --pkcs11-key and --pkcs11-pin-file');
  }
  return await tokenSigner({ module, token, label, pin: readTextWithin(pinFile, pinBytes).trim() });
}
