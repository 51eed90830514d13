// Every fuzz target.
import { livingTargets } from './living-targets.ts';
import { ntsTargets } from './nts-targets.ts';
import { recordTargets } from './record-targets.ts';
import { storageTargets } from './storage-targets.ts';
import type { Target } from './targets.ts';
import { thermometerTarget } from './thermometer-target.ts';

export const targets: readonly Target[] = [
  ...ntsTargets,
  ...storageTargets,
  thermometerTarget,
  ...livingTargets,
  ...recordTargets,
];
