// metertime update: keys for updates of a meter's software, their files, and sending one to a meter at a link.
import { createHash } from 'node:crypto';
import { Command, Option } from 'commander';
import { Slot } from '../../as/abi/codes.ts';
import { readFileWithin } from '../files.ts';
import { formatPairs } from '../text/table.ts';
import { UpdateLink } from '../update/at-link.ts';
import { newUpdateKey, publicKeyHex, publicKeyOfHex, readUpdateKey } from '../update/key.ts';
import {
  decodeUpdate,
  encodeUpdate,
  isSigned,
  makeImage,
  signatureHolds,
  signImage,
  slotLetter,
  type UpdateImage,
  updateFileBytesMax,
} from '../update/manifest.ts';
import { sendUpdate } from '../update/send.ts';
import { versionNumber, versionText } from '../update/version.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { writeNewFile } from './new-file.ts';
import { openMeterLink } from './provision-link.ts';
import { printable } from './terminal.ts';

interface PackOptions {
  board: string;
  release: string;
  floor?: string;
  a?: string;
  b?: string;
  core: string;
  built: string;
  out: string;
}

const exists = 'Name another file, or remove it.';
const exitCodes = [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage];

export function updateCommand(context: Context): Command {
  const update = new Command('update')
    .summary("replace a meter's software")
    .description(
      "Makes and signs updates of a meter's software, and sends them. The meter takes only what is signed with the key of its settings (updateKey), tries it once, and goes back by itself where it does not work: docs/update.md. A gateway sends one with metertime command METER update FILE.",
    );
  update.addCommand(keyCommand(context));
  update.addCommand(packCommand(context));
  update.addCommand(signCommand(context));
  update.addCommand(showCommand(context));
  update.addCommand(sendCommand(context));
  return withHelp(update, {
    examples: [
      ['update key update.pem', 'makes a key, and prints its public half for the settings'],
      ['update show meter.mtup', 'what an update says of itself'],
    ],
    exitCodes,
  });
}

function keyCommand({ terminal }: Context): Command {
  const command = new Command('key')
    .summary('make a key, or print the public half of one')
    .description(
      'Makes an Ed25519 key for updates in a new file that its owner alone may read, or reads one that is there, and prints its public half: updateKey of the settings of a meter.',
    )
    .argument('<file>', 'the private key, as PEM')
    .option('--existing', 'the file is there: print its public half')
    .action((file: string, { existing }: { existing?: boolean }) => {
      if (existing !== true) writeNewFile(file, newUpdateKey(), 0o600, 'Add --existing to print its public half.');
      terminal.print(publicKeyHex(readUpdateKey(file)));
    });
  return withHelp(command, { examples: [['update key update.pem', 'a new key']], exitCodes });
}

function packCommand({ terminal }: Context): Command {
  const command = new Command('pack')
    .summary('put images for both slots into one file')
    .description(
      'Puts the images of one version into a file, one for each slot, with what is known of them. It is not signed yet.',
    )
    .requiredOption('--board <name>', 'the board that they are for')
    .requiredOption('--release <version>', 'their version, such as 1.2.3')
    .option('--floor <version>', 'the lowest version that a meter takes once this one is confirmed', '0.0.0')
    .option('--a <file>', 'the image for slot A')
    .option('--b <file>', 'the image for slot B')
    .requiredOption('--core <file>', 'the core.wasm in them')
    .requiredOption('--built <seconds>', 'when they were built, Unix seconds')
    .requiredOption('-o, --out <file>', 'the new file')
    .action((options: PackOptions) => {
      const version = versionOf('--release', options.release);
      const floor = versionOf('--floor', options.floor ?? '0.0.0');
      const core = readFileWithin(options.core, updateFileBytesMax);
      if (!/^\d{1,12}$/.test(options.built)) throw usageError('--built: expected Unix seconds');
      const facts = {
        ...{ board: options.board, version, floor, buildUnixSeconds: BigInt(options.built) },
        coreSha256: new Uint8Array(createHash('sha256').update(core).digest()),
      };
      const given = [
        [Slot.A, options.a],
        [Slot.B, options.b],
      ] as const;
      const images = given.flatMap(([slot, file]) =>
        file === undefined ? [] : [makeImage(slot, readFileWithin(file, updateFileBytesMax), facts)],
      );
      if (images.length === 0) throw usageError('expected --a, --b, or both');
      writeNewFile(options.out, encodeUpdate(images), 0o644, exists);
      print(terminal, images);
    });
  return withHelp(command, {
    examples: [
      [
        'update pack --board b --release 1.2.3 --a a.bin --b b.bin --core core.wasm --built 1795000000 -o b.mtup',
        'an update for both slots',
      ],
    ],
    exitCodes,
  });
}

function signCommand({ terminal }: Context): Command {
  const command = new Command('sign')
    .summary('sign an update')
    .description('Signs each image of an update, and writes that to a new file.')
    .argument('<file>', 'the update')
    .requiredOption('--key <file>', 'the private key, as metertime update key made it')
    .requiredOption('-o, --out <file>', 'the new file')
    .action((file: string, options: { key: string; out: string }) => {
      const key = readUpdateKey(options.key);
      const images = read(file).map((image) => signImage(image, key));
      writeNewFile(options.out, encodeUpdate(images), 0o644, exists);
      print(terminal, images, publicKeyHex(key));
    });
  return withHelp(command, { examples: [['update sign b.mtup --key update.pem -o b-signed.mtup', '']], exitCodes });
}

function showCommand(context: Context): Command {
  const { terminal } = context;
  const command = new Command('show')
    .summary('print what an update says of itself')
    .argument('<file>', 'the update')
    .option('--key <digits>', 'a public key: check the signatures')
    .option('--json', 'print it as JSON')
    .action((file: string, { key, json }: { key?: string; json?: boolean }) => {
      if (key !== undefined && !/^[0-9a-fA-F]{64}$/.test(key))
        throw usageError('--key: expected 64 hexadecimal digits');
      const images = read(file);
      if (json === true) terminal.printJson(images.map((image) => described(image, key)));
      else print(terminal, images, key);
      const holds = key === undefined || images.every((image) => signatureHolds(image, publicKeyOfHex(key)));
      if (!holds) context.exitCode = ExitCode.Failed;
    });
  return withHelp(command, { examples: [['update show b.mtup', '']], exitCodes });
}

function sendCommand({ terminal, signal }: Context): Command {
  const command = new Command('send')
    .summary('send an update to a meter at a link')
    .description(
      'Sends a signed update to the meter at a link that no gateway has meanwhile, and goes on where it was when the link or the meter was away. The meter then tries it: it needs its gateway again within ten minutes, to have a time and keep the software.',
    )
    .argument('<file>', 'the update')
    .requiredOption('-l, --link <url>', 'serial:, tcp: or unix:')
    .addOption(
      new Option('--patience <s>', 'how long the meter may be away at a stretch').default(60).argParser(Number),
    )
    .action(async (file: string, options: { link: string; patience: number }) => {
      const images = read(file);
      const meter = new UpdateLink(openMeterLink(options.link));
      let progress = 'waiting for the meter';
      try {
        const { manifest } = await terminal.during(
          () => progress,
          () =>
            sendUpdate(meter, images, {
              signal,
              patienceMs: options.patience * 1000,
              onProgress: (sent, of) => {
                progress = `sending, ${sent} of ${of} bytes`;
              },
            }),
        );
        terminal.print(
          `Sent software ${versionText(manifest.version)} into slot ${slotLetter(manifest.slot)}: the meter tries it now.`,
        );
      } finally {
        await meter.close();
      }
    });
  return withHelp(command, {
    examples: [['update send b-signed.mtup --link serial:/dev/ttyUSB0?baud=9600', '']],
    exitCodes: [...exitCodes, ExitCode.Interrupted],
  });
}

function versionOf(option: string, text: string): number {
  const version = versionNumber(text);
  if (version === undefined) throw usageError(`${option}: expected a version such as 1.2.3, came "${printable(text)}"`);
  return version;
}

const read = (file: string): UpdateImage[] => decodeUpdate(readFileWithin(file, updateFileBytesMax));

function described(image: UpdateImage, key: string | undefined) {
  const { manifest } = image;
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return {
    slot: slotLetter(manifest.slot),
    board: manifest.board,
    version: versionText(manifest.version),
    floor: versionText(manifest.floor),
    coreVersion: versionText(manifest.coreVersion),
    coreSha256: hex(manifest.coreSha256),
    imageBytes: manifest.length,
    imageSha512: hex(manifest.imageHash),
    built: new Date(Number(manifest.buildUnixSeconds) * 1000).toISOString(),
    signed: isSigned(image),
    ...(key === undefined ? {} : { signatureHolds: signatureHolds(image, publicKeyOfHex(key)) }),
  };
}

function print(terminal: Context['terminal'], images: readonly UpdateImage[], key?: string): void {
  for (const image of images) {
    const { slot, board, version, floor, coreVersion, coreSha256, imageBytes, imageSha512, built, signed } = described(
      image,
      undefined,
    );
    const holds =
      key === undefined ? '' : signatureHolds(image, publicKeyOfHex(key)) ? ', and it holds' : ', and it does not hold';
    terminal.print(
      ...formatPairs([
        ['Slot', slot],
        ['Board', printable(board)],
        ['Version', `${version}, built ${built}`],
        ['Lowest afterwards', floor],
        ['Core', `${coreVersion}, SHA-256 ${coreSha256}`],
        ['Image', `${imageBytes} bytes, SHA-512 (first half) ${imageSha512}`],
        ['Signature', signed ? `there${holds}` : 'none'],
      ]),
    );
  }
}
