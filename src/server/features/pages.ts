/** Pages of lists: those of the store, and those that are filtered or come from elsewhere. */
import type { PageQuery } from '#contract/api/common.ts';
import { AppError } from '#contract/errors.ts';
import type { Page, PageRequest } from '#store/page.ts';

/** What the store is asked; the contract's `sort` fields are the store's. */
export function storePage<Sort extends string>(query: PageQuery): PageRequest<Sort> {
  const descending = query.sort.startsWith('-');
  return {
    limit: query.limit,
    cursor: query.cursor ?? null,
    sort: query.sort.replace(/^-/, '') as Sort,
    descending,
    withTotal: query.total === 'true',
  };
}

/**
 * A page of what of a list of the store the caller may see: as many pages of the store are read as it takes to fill it, so a page
 * says nothing about what was left out. `total` of what was left out would, so it is not told then.
 */
export async function visiblePage<Item, Sort extends string>(
  query: PageQuery,
  options: {
    readonly read: (request: PageRequest<Sort>) => Promise<Page<Item>>;
    readonly isVisible: (item: Item) => boolean;
    readonly seesAll: boolean;
  },
): Promise<{ readonly items: readonly Item[]; readonly next: string | null; readonly total: number | null }> {
  const request = storePage<Sort>(query);
  if (options.seesAll) return options.read(request);
  const items: Item[] = [];
  let cursor = request.cursor ?? null;
  do {
    const page = await options.read({ ...request, cursor, withTotal: false, limit: query.limit - items.length });
    items.push(...page.items.filter(options.isVisible));
    cursor = page.next;
  } while (cursor !== null && items.length < query.limit);
  return { items, next: cursor, total: null };
}

const ITEMS_PER_PAGE = 1_000;

/** All of a list of the store, page by page. */
export async function* everyItem<Item>(
  read: (request: { readonly limit: number; readonly cursor: string | null }) => Promise<Page<Item>>,
): AsyncGenerator<Item> {
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await read({ limit: ITEMS_PER_PAGE, cursor });
    yield* page.items;
    cursor = page.next;
  } while (cursor !== null);
}

/** `20240813-150405`, in UTC. */
export function fileTime(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}

/** A page of a list that is there as a whole. Its cursor is the text by which the last item of the page before is sorted. */
export function pageOfList<Item>(
  all: readonly Item[],
  query: PageQuery,
  options: { readonly nameOf: (item: Item) => string; readonly keyOf?: (item: Item, field: string) => string | number },
): { readonly items: readonly Item[]; readonly next: string | null; readonly total: number | null } {
  const field = query.sort.replace(/^-/, '');
  const direction = query.sort.startsWith('-') ? -1 : 1;
  const keyOf = options.keyOf ?? options.nameOf;
  const found = all.filter((item) => query.search === undefined || options.nameOf(item).includes(query.search));
  // By the name too, so that the order is the same each time.
  const placeOf = (item: Item): readonly [string | number, string] => [keyOf(item, field), options.nameOf(item)];
  const compare = (a: readonly [string | number, string], b: readonly [string | number, string]): number =>
    (order(a[0], b[0]) || order(a[1], b[1])) * direction;
  const sorted = found.map((item) => ({ item, place: placeOf(item) })).toSorted((a, b) => compare(a.place, b.place));
  const after = query.cursor === undefined ? null : readCursor(query.cursor, query.sort);
  const rest = after === null ? sorted : sorted.filter(({ place }) => compare(place, after) > 0);
  const items = rest.slice(0, query.limit);
  const last = items.at(-1);
  return {
    items: items.map(({ item }) => item),
    next: last !== undefined && rest.length > items.length ? writeCursor(last.place, query.sort) : null,
    total: query.total === 'true' ? found.length : null,
  };
}

function order(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function writeCursor(place: readonly [string | number, string], sort: string): string {
  return Buffer.from(JSON.stringify([sort, ...place])).toString('base64url');
}

function readCursor(cursor: string, sort: string): readonly [string | number, string] {
  try {
    const [of, key, name] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (of === sort && (typeof key === 'string' || typeof key === 'number') && typeof name === 'string')
      return [key, name];
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list in this order.', {
    nextStep: 'Begin again without one.',
  });
}
