// How the command ends. Scripts rely on these numbers: they never change their meaning.

export enum ExitCode {
  Ok = 0,
  /** It was tried and did not work. */
  Failed = 1,
  /** The command line or a settings file is wrong: nothing was tried. */
  Usage = 2,
  /** No authenticated time came. */
  NoTime = 3,
  /** A replay, a known-answer test or a verification gave another result than it must. */
  Mismatch = 4,
  /** Ended by Ctrl-C. */
  Interrupted = 130,
}

export const exitCodeTexts: Readonly<Record<ExitCode, string>> = {
  [ExitCode.Ok]: 'all is well',
  [ExitCode.Failed]: 'it was tried and failed',
  [ExitCode.Usage]: 'the command line or a settings file is wrong; nothing was tried',
  [ExitCode.NoTime]: 'no authenticated time',
  [ExitCode.Mismatch]: 'a replay, known-answer test or verification gave another result than it must',
  [ExitCode.Interrupted]: 'ended by Ctrl-C',
};

/** The same for commands that go on until Ctrl-C, which is their orderly end. */
export const untilCtrlCTexts: Readonly<Partial<Record<ExitCode, string>>> = {
  [ExitCode.Ok]: 'all is well; also: ended by Ctrl-C',
  [ExitCode.Interrupted]: 'ended by Ctrl-C before it had begun, or by a second Ctrl-C',
};
