// A whole meter on netduinoplus2: board-whole.ts says what is looked at.
import { testWholeBoard } from './board-whole.ts';

testWholeBoard('netduinoplus2');
