// A whole meter on mps2-an505: board-whole.ts says what is looked at.
import { testWholeBoard } from './board-whole.ts';

testWholeBoard('mps2-an505');
