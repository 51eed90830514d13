// A board that is started: a valid file, built as it stands; nothing that exists is replaced.
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadBoard } from '../../host/build/board.ts';
import { buildFirmware } from '../../host/build/firmware.ts';
import { addBoard, listChips } from '../../host/build/new-board.ts';
import { root } from '../../scripts/lib/project.mjs';
import { boardName, compileTestCore, temporaryFolder } from './echo-meter.ts';

/** A chip whose UART goes to any pins. */
const withoutLine = 'nrf51822';
/** What its storage is on is the board's. */
const withoutStorage = 'stm32f405';
const temporary = temporaryFolder();
const copy = join(temporary.path, 'checkout');
beforeAll(() => {
  for (const path of ['firmware', 'boards', 'host/build', 'package.json']) {
    mkdirSync(join(copy, path, '..'), { recursive: true });
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
});
afterAll(() => temporary.remove());

it('like another one is that one under another name', () => {
  const { board, file } = addBoard('wallbox', { like: boardName }, copy);
  const parent = loadBoard(boardName, copy);
  expect(board).toEqual({ ...parent, name: 'wallbox', description: `As ${boardName}` });
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ inherits: `${boardName}/board`, name: 'wallbox' });
});

it('with any chip whose data suffice is valid, and one of them is built as it stands', async () => {
  const chips = listChips(copy);
  expect(chips).toContain('an385');
  for (const chip of chips) {
    if (chip === withoutLine || chip === withoutStorage) continue;
    const { board, supposed } = addBoard(`with-${chip}`, { chip }, copy);
    expect(board.chip).toBe(loadBoard(board.name, copy).chip);
    expect(supposed.length).toBeGreaterThan(0);
  }
  const corePath = await compileTestCore('echo');
  const outDir = join(temporary.path, 'with-an385');
  const report = await buildFirmware({ board: 'with-an385', corePath, root: copy, outDir });
  expect(report).toMatchObject({ board: 'with-an385', rebuilt: true });
});

it.each([
  ['an existing name', boardName, { like: boardName }, /exists and is not replaced/],
  ['a name that is none', 'Wall_Box', { like: boardName }, /expected up to 31 of a-z/],
  ['a name with a way out', '../wallbox', { like: boardName }, /expected up to 31 of a-z/],
  ['a name that the command line uses', 'add', { like: boardName }, /neither add nor software/],
  ['a board that is not there', 'other', { like: 'mps3' }, /there is no board mps3/],
  ["a chip whose serial line is the board's", 'other', { chip: withoutLine }, /no serial line.*--like/],
  ["a chip whose storage is the board's", 'other', { chip: withoutStorage }, /no place for a storage.*--like/],
  ['a chip that is not there', 'other', { chip: 'z80' }, /no data for a chip z80; there are: .*an385/],
])('%s is refused, and leaves nothing', (_, name, origin, message) => {
  const before = existsSync(join(copy, 'boards', name));
  expect(() => addBoard(name, origin, copy)).toThrow(message);
  expect(existsSync(join(copy, 'boards', name))).toBe(before);
});
