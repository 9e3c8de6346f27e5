/** Lists come in pages. A page begins behind a place, not after a number of items: what is added or removed meanwhile shifts nothing. */

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
