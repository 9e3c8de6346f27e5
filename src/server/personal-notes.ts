/**
 * Addresses, user agents and names that somebody typed, for the audit log: an entry gets a commitment, and the store keeps value and
 * salt. A value has the same commitment for a day, so that a busy address is one row and not one for each entry; who reads the
 * log alone sees that entries of a day are of one address, and not of which.
 */
import { commitmentOf } from '#prove/log/commitment.ts';
import type { PersonalValue } from '#store/personal.ts';
import type { Origin } from './auth/sign-in.ts';
import type { AuditEvent, ServerPorts } from './ports.ts';

const SAME_MS = 24 * 3_600_000;
/** Whoever sends another user agent each time must not fill the memory. */
const KNOWN_MAX = 10_000;
const SALT_BYTES = 32;

type Kind = PersonalValue['kind'];

export class PersonalNotes {
  readonly #ports: Pick<ServerPorts, 'store' | 'entropy' | 'clock' | 'log'>;
  /** By kind and value, the oldest first. */
  readonly #known = new Map<string, { readonly commitment: string; readonly until: number }>();

  constructor(ports: Pick<ServerPorts, 'store' | 'entropy' | 'clock' | 'log'>) {
    this.#ports = ports;
  }

  /** From where somebody asks. Without what the store does not take: a commitment to what is nowhere says nothing. */
  async originOf({ address, userAgent }: Origin): Promise<Pick<AuditEvent, 'origin'>> {
    const [addressCommitment, userAgentCommitment] = await Promise.all([
      this.commit('address', address),
      userAgent === null ? null : this.commit('user-agent', userAgent),
    ]);
    if (addressCommitment === null && userAgentCommitment === null) return {};
    return {
      origin: {
        ...(addressCommitment === null ? {} : { addressCommitment }),
        ...(userAgentCommitment === null ? {} : { userAgentCommitment }),
      },
    };
  }

  /** Of a name that somebody typed, whether or not it is anybody's. */
  async account(name: string): Promise<Pick<AuditEvent, 'pii'>> {
    const commitment = await this.commit('account', name);
    return commitment === null ? {} : { pii: [{ field: 'account', commitment }] };
  }

  /** The user who is called so, by id; else a commitment to the name. */
  async user(name: string): Promise<{ readonly id: string } & Pick<AuditEvent, 'pii'>> {
    const user = await this.#ports.store.users.getByName(name);
    return user === null ? { id: UNNAMED, ...(await this.account(name)) } : { id: user.id };
  }

  /** It was erased: whoever comes with it again gets a commitment of its own. */
  forget(value: string): void {
    for (const kind of ['address', 'user-agent', 'account'] as const) this.#known.delete(keyOf(kind, value));
  }

  /** Null: the store does not take it now. */
  async commit(kind: Kind, value: string): Promise<string | null> {
    const { store, entropy, clock, log } = this.#ports;
    const now = clock.now();
    const known = this.#known.get(keyOf(kind, value));
    if (known && known.until > now) return known.commitment;
    const salt = entropy.bytes(SALT_BYTES);
    const commitment = commitmentOf(value, salt);
    try {
      await store.personal.keep([{ commitment, kind, value, salt: Buffer.from(salt).toString('hex') }]);
    } catch (error) {
      log({ message: 'what an entry of the audit log commits to was not kept', requestId: null, error });
      return null;
    }
    this.#known.delete(keyOf(kind, value));
    this.#known.set(keyOf(kind, value), { commitment, until: now + SAME_MS });
    const [oldest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    return commitment;
  }
}

/** In the place of a name that must not be in the log. */
export const UNNAMED = '-';

function keyOf(kind: Kind, value: string): string {
  return `${kind} ${value}`;
}
