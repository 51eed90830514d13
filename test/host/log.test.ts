// Log lines: levels, fields, JSON, colour only where asked for, and no line that something outside could forge.
import { expect, test } from 'vitest';
import { createLogger, formatJson, formatLine, type LogRecord } from '../../host/log.ts';

const record: LogRecord = {
  time: new Date(Date.UTC(2026, 10, 22, 2, 31, 42, 123)),
  level: 'warn',
  message: 'link down',
  fields: { link: 'tcp://a:1', reason: 'no answer', count: 3n, nothing: undefined },
};

function lines(options: Parameters<typeof createLogger>[0] = {}) {
  const written: string[] = [];
  const log = createLogger({ stream: { write: (text) => written.push(text) }, ...options });
  return { log, written };
}

test('a line for people', () => {
  expect(formatLine(record)).toBe(
    '2026-11-22T02:31:42.123Z warn  link down  link=tcp://a:1 reason="no answer" count=3',
  );
});

test('a line for machines', () => {
  expect(JSON.parse(formatJson(record))).toEqual({
    time: '2026-11-22T02:31:42.123Z',
    level: 'warn',
    message: 'link down',
    link: 'tcp://a:1',
    reason: 'no answer',
    count: '3',
  });
});

test('levels below the chosen one are left out; children carry their fields', () => {
  const { log, written } = lines({ level: 'warn' });
  const child = log.child({ link: 'a' }).child({ meter: 'm' });
  child.debug('no');
  child.info('no');
  child.warn('yes', { more: 1 });
  child.error('yes');
  expect(written).toHaveLength(2);
  expect(written[0]).toMatch(/ warn {2}yes {2}link=a meter=m more=1\n$/);
});

test('nothing from outside makes a line or a colour of its own', () => {
  const { log, written } = lines();
  log.info('a\nb', { detail: 'x\r\n\x1b[31mforged\u2028 key=value\u202e' });
  expect(written).toHaveLength(1);
  for (const control of ['\n', '\r', '\x1b', '\u2028', '\u202e']) expect(written[0]!.trimEnd()).not.toContain(control);
  expect(written[0]).toContain('detail="x');
});

test('colour on a terminal only', () => {
  const terminal = { isTTY: true, text: '', write: (text: string) => (terminal.text += text) };
  const before = process.env.NO_COLOR;
  delete process.env.NO_COLOR;
  createLogger({ stream: terminal }).info('hello');
  expect(terminal.text).toContain('\x1b[36m');
  process.env.NO_COLOR = '1';
  terminal.text = '';
  createLogger({ stream: terminal }).info('hello');
  expect(terminal.text).not.toContain('\x1b');
  if (before === undefined) delete process.env.NO_COLOR;
  else process.env.NO_COLOR = before;
  expect(lines({ json: true }).written).toEqual([]);
});
