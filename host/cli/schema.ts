// metertime schema: prints the JSON Schema of a payload, or the AsyncAPI document of all of them.
import { Command } from 'commander';
import { asyncApi } from '../mqtt/asyncapi.ts';
import { allSchemas, jsonSchema } from '../mqtt/schemas.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { version } from './program-info.ts';
import { printable } from './terminal.ts';

export function schemaCommand(context: Context): Command {
  const command = new Command('schema')
    .summary('print the schemas of what goes over MQTT')
    .description(
      'Prints the JSON Schema (2020-12) of a payload, the AsyncAPI 3 document of all topics, or, without either, the names of all payloads.',
    )
    .argument('[name]', 'of a payload')
    .option('--asyncapi', 'print the AsyncAPI document')
    .action((name: string | undefined, options: { asyncapi?: boolean }) =>
      print(context, name, options.asyncapi === true),
    );
  return withHelp(command, {
    examples: [
      ['schema', 'the names'],
      ['schema record > record.schema.json', 'that of records'],
      ['schema --asyncapi > metertime.asyncapi.json', 'all topics, payloads and commands'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Usage],
  });
}

function print({ terminal }: Context, name: string | undefined, asyncapi: boolean): void {
  if (asyncapi && name !== undefined) throw usageError('expected either a name or --asyncapi, not both');
  if (asyncapi) terminal.print(JSON.stringify(asyncApi(version), null, 2));
  else if (name === undefined) terminal.print(...Object.keys(allSchemas));
  else {
    const schema = jsonSchema(name);
    if (schema === undefined) {
      throw usageError(
        `expected the name of a payload, came "${printable(name)}"`,
        `There are ${Object.keys(allSchemas).join(', ')}.`,
      );
    }
    terminal.print(JSON.stringify(schema, null, 2));
  }
}
