// metertime init: writes a gateway's settings file with every setting explained.
import { Command } from 'commander';
import { annotatedSettings } from '../config/reference.ts';
import { checkSettings } from '../config/settings.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { writeNewFile } from './new-file.ts';

interface Options {
  name?: string;
  link: string[];
  mqtt?: string;
}

export function initCommand(context: Context): Command {
  const command = new Command('init')
    .summary('write an annotated settings file for a gateway')
    .description(
      "Writes a gateway's settings file (YAML) in which every setting is explained; what has a default is commented out. An existing file is never replaced.",
    )
    .argument('[file]', 'the file to write; - prints it', 'metertime.yaml')
    .option('--name <name>', "the gateway's name, a level of its MQTT topics")
    .option('--link <url>', 'a link to a meter; may be repeated', collect, [])
    .option('--mqtt <url>', 'the broker')
    .action((file: string, options: Options) => {
      if (file === '') throw usageError('the name of the file is empty', 'Name a file, or - to print the settings.');
      const text = annotatedSettings({
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.link.length === 0 ? {} : { links: options.link }),
        ...(options.mqtt === undefined ? {} : { mqttUrl: options.mqtt }),
      });
      // What was given on the command line may be wrong.
      const [problem] = checkSettings(text, file, { files: false }).filter(({ severity }) => severity === 'error');
      if (problem !== undefined) throw usageError(problem.message);
      if (file === '-') {
        context.terminal.print(text.trimEnd());
        return;
      }
      // A password may be put into it later.
      writeNewFile(file, text, 0o600, 'Name another file, or - to print the settings.');
      context.terminal.print(`${file} is written. Edit it, then try it:`, `  metertime gateway -c ${file} --check`);
    });
  return withHelp(command, {
    examples: [
      ['init', 'writes metertime.yaml'],
      ['init --link serial:/dev/ttyUSB0 --mqtt mqtt://localhost gw.yaml', 'with a serial port and a broker'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage],
  });
}
