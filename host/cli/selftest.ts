// metertime selftest: known-answer tests of the ciphers, hash and signature in this core, and of Wycheproof's files on request.
import { Command } from 'commander';
import { aesWays, Core } from '../core/core.ts';
import { readTextWithin } from '../files.ts';
import { describeReport, joinReports, runSelftest } from '../selftest/selftest.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { coreSha256 } from './program-info.ts';
import { printable } from './terminal.ts';

/** Wycheproof's largest file has some 10 MB. */
const limitBytes = 64 << 20;

export function selftestCommand(context: Context): Command {
  const command = new Command('selftest')
    .summary("known-answer tests of the core's ciphers and signatures")
    .description(
      "Runs known-answer tests of the ciphers, the hash and the signature in core.wasm: those of the standards are built in; --vectors adds Wycheproof's JSON files (AES-SIV-CMAC, AEAD-AES-SIV-CMAC, AES-GCM-SIV, AES-CMAC, EDDSA). Each is run with AES bitsliced and with its table. What the core lacks is skipped, and named.",
    )
    .option('--vectors <files...>', "Wycheproof's JSON files")
    .option('--json', 'print the result as JSON')
    .action((options: { vectors?: string[]; json?: boolean }) => {
      const files = (options.vectors ?? []).map((name) => ({ name, text: readTextWithin(name, limitBytes) }));
      const reports = aesWays.map((aes) => runSelftest(new Core(undefined, { aes }).exports, files, aes));
      const report = joinReports(reports);
      if (!report.ok) context.exitCode = ExitCode.Mismatch;
      const { terminal } = context;
      if (options.json) terminal.printJson({ coreSha256: coreSha256(), ...report });
      else terminal.print(`core.wasm SHA-256 ${coreSha256()}`, '', ...describeReport(report).map(printable));
    });
  return withHelp(command, {
    examples: [
      ['selftest', 'the built-in answers'],
      ['selftest --vectors aes_siv_cmac_test.json aes_gcm_siv_test.json', "and Wycheproof's"],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Usage, ExitCode.Mismatch],
  });
}
