/** Schemas that several routes share. Times are milliseconds since the epoch, null means 'not known'. */
import { z } from 'zod';
import { must } from '#util/assert.ts';

export const time = () => z.int().min(0).describe('Milliseconds since the epoch');

export const count = () => z.int().min(0);

/** As resources are named everywhere in Lockstep. */
export const resourceName = () =>
  z
    .string()
    .max(100)
    .regex(/^[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?$/, 'must be small letters, digits, "-" and "."');

/** What is shown of a name that a cluster gave: any text, for it is theirs. */
export const foreignName = () => z.string().max(4096);

/** Where a group stands on a partition. */
export const groupOffset = z
  .strictObject({
    groupId: foreignName(),
    topic: foreignName(),
    partition: z.int(),
    offset: z.int(),
    highWatermark: z.int().nullable(),
    lagRecords: count().nullable(),
  })
  .meta({ id: 'GroupOffset' });

export const anyJson = z.json().meta({ id: 'Json' });

export const problemSchema = z
  .strictObject({
    type: z.string().describe('Address of the description of the code'),
    title: z.string(),
    status: z.int(),
    code: z.string().describe('One of docs/errors.md'),
    detail: z.string(),
    nextStep: z.string().nullable(),
    requestId: z.string(),
    /** Of a request that does not fit its schema: where and why. */
    problems: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;

const PAGE_ITEMS_MAX = 1000;

export const pageLimit = () => z.coerce.number().int().min(1).max(PAGE_ITEMS_MAX).default(100);

export const pageCursor = () => z.string().max(2_000).optional().describe('"next" of the page before');

/**
 * Lists come in pages; a page begins behind a place, not after a number of items, so what is added or removed meanwhile shifts
 * nothing. `sort` is the name of a field, with "-" before it to turn the order round. Numbers come from a query as text.
 */
export function pageQuery(fields: readonly string[]) {
  return {
    limit: pageLimit(),
    cursor: pageCursor(),
    sort: z.enum([...fields, ...fields.map((field) => `-${field}`)]).default(must(fields[0], 'first field')),
    search: z.string().max(200).optional().describe('Only what has this in its name'),
    total: z.enum(['true', 'false']).default('false').describe('Whether to count all that match'),
  };
}

export interface PageQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly sort: string;
  readonly search?: string | undefined;
  readonly total: 'true' | 'false';
}

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    items: z.array(item),
    next: z.string().nullable().describe('Cursor of the next page; null: this was the last'),
    total: count().nullable().describe('Null where it was not asked for'),
  });
}
