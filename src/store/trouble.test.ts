import { expect, test } from 'vitest';
import { storeError, type Trouble, troubleOf } from './trouble.ts';

const sqlite = (errcode: number) => Object.assign(new Error('x'), { code: 'ERR_SQLITE_ERROR', errcode });
const coded = (code: string) => Object.assign(new Error('x'), { code });

test.each<[string, Error, Trouble | null]>([
  ['SQLITE_BUSY', sqlite(5), 'locked'],
  ['SQLITE_BUSY_SNAPSHOT', sqlite(517), 'locked'],
  ['SQLITE_FULL', sqlite(13), 'full'],
  ['SQLITE_IOERR_WRITE', sqlite(778), 'lost'],
  ['SQLITE_READONLY_DBMOVED', sqlite(1032), 'lost'],
  ['SQLITE_CORRUPT', sqlite(11), 'damaged'],
  ['SQLITE_NOTADB', sqlite(26), 'damaged'],
  ['SQLITE_CONSTRAINT_PRIMARYKEY', sqlite(1555), 'raced'],
  ['SQLITE_CONSTRAINT_NOTNULL: a bug', sqlite(1299), null],
  ['SQLITE_ERROR: a bug', sqlite(1), null],
  ['serialization_failure', coded('40001'), 'raced'],
  ['unique_violation', coded('23505'), 'raced'],
  ['foreign_key_violation: a bug', coded('23503'), null],
  ['syntax_error: a bug', coded('42601'), null],
  ['disk_full', coded('53100'), 'full'],
  ['too_many_connections', coded('53300'), 'lost'],
  ['admin_shutdown', coded('57P01'), 'lost'],
  ['lock_not_available', coded('55P03'), 'locked'],
  ['read_only_sql_transaction, of a standby', coded('25006'), 'lost'],
  ['connection refused', coded('ECONNREFUSED'), 'lost'],
  ['a connection that ended', new Error('Connection terminated unexpectedly'), 'lost'],
  ['any other error', new Error('x'), null],
])('%s', (_, error, trouble) => {
  expect(troubleOf(error)).toBe(trouble);
});

test('what is no error is no trouble', () => {
  expect(troubleOf('SQLITE_BUSY')).toBeNull();
});

test('each trouble has an error that says what to do', () => {
  const codes = (['locked', 'raced', 'full', 'lost', 'damaged'] as const).map((trouble) => {
    const error = storeError(trouble, new Error('cause'), 'none');
    expect(error.nextStep).not.toBeNull();
    expect(error.details).toEqual({ trouble, effect: 'none' });
    return error.code;
  });
  expect(codes).toEqual(['STORE_UNAVAILABLE', 'RESOURCE_CONFLICT', 'STORE_FULL', 'STORE_UNAVAILABLE', 'STORE_INVALID']);
});
