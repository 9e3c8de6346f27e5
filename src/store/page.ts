/** Lists come in pages. A page begins behind a place, not after a number of items: what is added or removed meanwhile shifts nothing. */
import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import { AppError } from '#contract/errors.ts';

export interface PageRequest<Sort extends string = string> {
  /** 1 to 1,000. */
  readonly limit: number;
  /** `next` of the page before; null or absent: the first page. REQUEST_INVALID when it is of another list or order. */
  readonly cursor?: string | null;
  /** Default: the first that the list names. */
  readonly sort?: Sort;
  readonly descending?: boolean;
  /** Counts all that match, which reads all that match. */
  readonly withTotal?: boolean;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Null: this was the last page. */
  readonly next: string | null;
  /** Null where it was not asked for. */
  readonly total: number | null;
}

/** A list's columns that it can be ordered by. None may be null; equal ones are in the order of `id`. */
export interface PageOrder<Sort extends string> {
  readonly list: string;
  readonly sorts: Readonly<Record<Sort, RawBuilder<unknown>>>;
  readonly first: Sort;
  readonly id: RawBuilder<unknown>;
}

const LIMIT_MAX = 1000;

/** The page of `query` that `request` asks for. */
export async function readPage<DB, TB extends keyof DB, Row, Sort extends string, Item>(
  query: SelectQueryBuilder<DB, TB, Row>,
  request: PageRequest<Sort>,
  { order, toItem }: { readonly order: PageOrder<Sort>; readonly toItem: (row: Row) => Item },
): Promise<Page<Item>> {
  const { limit, cursor = null, sort = order.first, descending = false, withTotal = false } = request;
  const key = Object.hasOwn(order.sorts, sort) ? order.sorts[sort] : undefined;
  if (key === undefined) throw invalid(`${order.list} cannot be ordered by "${sort}"`);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw invalid(`a page has 1 to ${LIMIT_MAX} items, not ${limit}`);
  const place = `${order.list} ${sort} ${descending ? 'down' : 'up'}`;
  const direction = descending ? 'desc' : 'asc';
  let page = query
    .select([key.as('page_key'), order.id.as('page_id')])
    .orderBy(key, direction)
    .orderBy(order.id, direction)
    .limit(limit + 1);
  if (cursor !== null) {
    const [after, id] = parseCursor(cursor, place);
    const sign = descending ? sql`<` : sql`>`;
    page = page.where(sql<boolean>`(${key}, ${order.id}) ${sign} (${after}, ${id})`);
  }
  const found = (await page.execute()) as (Row & { page_key: string | number; page_id: string | number })[];
  const rows = found.slice(0, limit);
  const last = found.length > limit ? rows.at(-1) : undefined;
  return {
    items: rows.map(toItem),
    next: last ? toCursor(place, [last.page_key, last.page_id]) : null,
    total: withTotal ? await countOf(query) : null,
  };
}

async function countOf<DB, TB extends keyof DB, Row>(query: SelectQueryBuilder<DB, TB, Row>): Promise<number> {
  const { count } = (await query
    .clearSelect()
    .select(sql<number>`count(*)`.as('count'))
    .executeTakeFirstOrThrow()) as { count: number };
  return count;
}

type Place = readonly [string | number, string | number];

function toCursor(place: string, values: Place): string {
  return Buffer.from(JSON.stringify([place, ...values])).toString('base64url');
}

function parseCursor(cursor: string, place: string): Place {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw invalid('the cursor is none');
  }
  if (!Array.isArray(parsed) || parsed.length !== 3 || parsed[0] !== place)
    throw invalid('the cursor is of another list or order');
  const [, key, id] = parsed as unknown[];
  const isValue = (value: unknown): value is string | number => typeof value === 'string' || typeof value === 'number';
  if (!isValue(key) || !isValue(id)) throw invalid('the cursor is none');
  return [key, id];
}

function invalid(what: string): AppError {
  return new AppError('REQUEST_INVALID', `Not a page that can be read: ${what}.`);
}

/** `column` has `part` in it, whatever the case of its ASCII letters. */
export function contains(column: RawBuilder<unknown>, part: string): RawBuilder<boolean> {
  const pattern = `%${part.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`;
  return sql<boolean>`lower(${column}) like ${pattern} escape '\\'`;
}

/** `column` begins with `prefix`; an index on it helps. */
export function beginsWith(column: RawBuilder<unknown>, prefix: string): RawBuilder<boolean> {
  return sql<boolean>`${column} >= ${prefix} and ${column} < ${`${prefix}\u{10FFFF}`}`;
}
