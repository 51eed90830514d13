// A whole meter on microbit: board-whole.ts says what is looked at.
import { testWholeBoard } from './board-whole.ts';

testWholeBoard('microbit');
