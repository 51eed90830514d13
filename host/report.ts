// What a part of the gateway says about itself: a stable code for programs, a sentence for people, fields for the log.
import type { LogFields, Logger, LogLevel } from './log.ts';

/** `code` never changes its meaning; `message` says what happened and what to do. Neither holds a secret. */
export interface Report<Code extends string = string> {
  readonly level: LogLevel;
  readonly code: Code;
  readonly message: string;
  readonly fields?: LogFields;
}

/** Writes reports into a log, their code as a field. */
export function reportTo(logger: Logger): (report: Report) => void {
  return ({ level, code, message, fields }) => logger[level](message, { code, ...fields });
}
