// A whole meter on riscv-virt: board-whole.ts says what is looked at.
import { testWholeBoard } from './board-whole.ts';

testWholeBoard('riscv-virt');
