// Every fuzz target.
import { livingTargets } from './living-targets.ts';
import { parserTargets } from './parser-targets.ts';
import type { Target } from './targets.ts';

export const targets: readonly Target[] = [...parserTargets, ...livingTargets];
