/** Leave to write to one place, which may be taken back at any time (jobs/ownership.ts). */
export interface Permit {
  /** Asked in the turn of the event loop in which the bytes are handed to the socket, however long they waited for it. */
  isGiven(): boolean;
  /** How long a write may be on its way: then its connection is closed. */
  readonly timeoutMs: number;
}
