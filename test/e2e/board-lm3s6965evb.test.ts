// A whole meter on lm3s6965evb: board-whole.ts says what is looked at.
import { testWholeBoard } from './board-whole.ts';

testWholeBoard('lm3s6965evb');
