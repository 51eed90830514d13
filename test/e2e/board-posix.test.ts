// A whole meter as a process of this machine: board-whole.ts says what is looked at.
import { describe } from 'vitest';
import { testWholeBoard } from './board-whole.ts';

// The compiler is that of native fuzzing.
describe.skipIf(process.env.METERTIME_NATIVE_FUZZ === 'skip')('a process', () => testWholeBoard('posix'));
