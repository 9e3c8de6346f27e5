/**
 * Keeps what stands around the records as the source has it: ACLs and client quotas follow, SCRAM users that the target
 * lacks are named. Of several processes of a mirror one acts. What cannot be done is said once and tried again; nothing
 * of it ever stops a copy.
 */
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '#util/clock.ts';
import type { ErrorCode } from '#contract/errors.ts';
import { isChange, type PlannedChange } from '#contract/plan.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import { toAppError } from '#jobs/app-error.ts';
import { aclText, createAcls, deleteAcls, type Acl } from '#kafka/acls.ts';
import { alterClientQuotas } from '#kafka/client-quotas.ts';
import { KafkaError } from '#kafka/errors.ts';
import { isDenied, rightOf } from '#kafka/permissions.ts';
import type { AclChange } from './acl-diff.ts';
import { changesOf, surveyAround, type AroundPorts, type AroundSurvey, type Surveyed } from './around-survey.ts';
import { keyOf, quotaChanges, type QuotaDifference } from './quota-diff.ts';
import type { AppliedRecord } from './state-records.ts';
import type { StateTopic } from './state-topic.ts';

/** What changes at the source is on the target at most so much later, and the time of one round. */
const CHECK_MS = 15_000;
const LEADER_POLL_MS = 1_000;
const NAMED_MAX = 3;
/** So many may be unclear when a process ends while it creates them (acl-diff.ts). */
const ACLS_AT_ONCE = 500;

export interface AroundRecordsOptions extends AroundPorts {
  readonly state: StateTopic;
  /** Topics that are ready to be copied into. */
  copied(): readonly TopicPair[];
  /** Of several processes of a mirror one does this. */
  isLeader(): boolean;
  /** What was changed on the target. */
  onChanges(changes: readonly PlannedChange[]): void;
  /** Each text once as long as it stays the same. */
  onWarning(code: ErrorCode, message: string): void;
}

export class AroundRecords {
  readonly #options: AroundRecordsOptions;
  /** By what it is about. */
  readonly #said = new Map<string, string>();
  /** One after the other. */
  #rounds: Promise<void> = Promise.resolve();

  constructor(options: AroundRecordsOptions) {
    this.#options = options;
  }

  /** Whether the file asks for any of it. */
  static isAskedFor({ spec }: AroundPorts['resource']): boolean {
    return spec.sync.acls !== null || spec.sync.quotas !== null || spec.sync.users;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.target;
    while (!signal.aborted) {
      const isOurs = this.#options.isLeader();
      if (isOurs) await this.check();
      await sleep(clock, isOurs ? CHECK_MS : LEADER_POLL_MS, signal);
    }
  }

  /** One round; also before a mirror says that it has caught up. What fails is told and left to the next round. */
  check(): Promise<void> {
    this.#rounds = this.#rounds.then(() => this.#check());
    return this.#rounds;
  }

  async #check(): Promise<void> {
    if (!this.#options.isLeader()) return;
    try {
      const survey = await surveyAround(this.#options, this.#options.copied());
      this.#tell(survey);
      const done = await this.#apply(survey);
      if (done.length > 0) this.#options.onChanges(done);
      this.#say('failure', null);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      this.#sayFailure('failure', 'What is around the records could not be compared', error);
    }
  }

  async #apply(survey: AroundSurvey): Promise<PlannedChange[]> {
    const { acls, quotas } = survey;
    const changes = changesOf(survey).filter(isChange);
    const done: PlannedChange[] = [];
    const hasMade = (what: PlannedChange['what']): void =>
      void done.push(...changes.filter((each) => each.what === what));
    if (acls && 'found' in acls && (await this.#attempt('acls', () => this.#changeAcls(acls.found.change))))
      hasMade('acl');
    if (quotas && 'found' in quotas && (await this.#attempt('quotas', () => this.#changeQuotas(quotas.found))))
      hasMade('quota');
    return done;
  }

  /** DENY rules are there before an ALLOW comes, and go only when it has gone. */
  async #changeAcls({ create, remove, forget }: AclChange): Promise<void> {
    const { target } = this.#options;
    const allowed = remove.filter(({ permission }) => permission === 'allow');
    const denied = remove.filter(({ permission }) => permission === 'deny');
    await deleteAcls(target, allowed);
    for (let from = 0; from < create.length; from += ACLS_AT_ONCE) {
      const acls = create.slice(from, from + ACLS_AT_ONCE);
      await this.#record(acls, (acl) => ({ what: 'acl', phase: 'intended', acl }));
      await createAcls(target, acls);
      await this.#record(acls, (acl) => ({ what: 'acl', phase: 'created', acl }));
    }
    await deleteAcls(target, denied);
    await this.#record([...remove, ...forget], () => null);
  }

  #record(acls: readonly Acl[], toRecord: (acl: Acl) => AppliedRecord | null): Promise<void> {
    return this.#put(new Map(acls.map((acl) => [aclText(acl), toRecord(acl)])));
  }

  async #changeQuotas(differences: readonly QuotaDifference[]): Promise<void> {
    const known = this.#applied();
    const put = (action: QuotaDifference['action'], toRecord: (of: QuotaDifference) => AppliedRecord | null) =>
      this.#put(new Map(differences.flatMap((of) => (of.action === action ? [[keyOf(of), toRecord(of)]] : []))));
    await put('set', (of) => {
      const { entity, key, source, target } = of;
      const ours = known.get(keyOf(of));
      const isOurs = ours?.what === 'quota' && ours.value === target;
      return { what: 'quota', entity: [...entity], key, value: source ?? 0, before: isOurs ? target : null };
    });
    await alterClientQuotas(this.#options.target, quotaChanges(differences));
    await put('remove', () => null);
    await put('forget', () => null);
  }

  /** What is recorded already is not recorded again: without a right to the change it is tried in every round. */
  async #put(records: ReadonlyMap<string, AppliedRecord | null>): Promise<void> {
    const { state, mirrorId } = this.#options;
    const known = this.#applied();
    const changed = [...records].filter(([text, record]) => !isDeepStrictEqual(record, known.get(text) ?? null));
    await state.putApplied(mirrorId, new Map(changed));
  }

  #applied(): ReadonlyMap<string, AppliedRecord> {
    const records = this.#options.state.appliedOf(this.#options.mirrorId);
    return new Map(records.map((each) => [each.what === 'acl' ? aclText(each.acl as Acl) : keyOf(each), each]));
  }

  async #attempt(what: keyof AroundSurvey, change: () => Promise<void>): Promise<boolean> {
    try {
      await change();
      this.#say(`change ${what}`, null);
      return true;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      this.#sayFailure(
        `change ${what}`,
        `${NOUNS[what]} of "${this.#options.target.name}" do not follow the source`,
        error,
      );
      return false;
    }
  }

  // ---- what is said

  #tell(survey: AroundSurvey): void {
    for (const what of ['acls', 'quotas', 'users'] as const) this.#tellUnread(what, survey[what]);
    const { source, target } = this.#options;
    const kept = changesOf(survey)
      .filter((change) => !isChange(change) && !change.isChosen)
      .toSorted((a, b) => (a.subject < b.subject ? -1 : 1)); // clusters list them in any order
    this.#say('kept', kept.length === 0 ? null : `Not on "${target.name}" as on "${source.name}": ${named(kept)}`);
    const users = survey.users && 'found' in survey.users ? survey.users.found : [];
    const list = users.map(({ user, mechanism, iterations }) => `${user} (${mechanism}, ${iterations} iterations)`);
    this.#say(
      'users',
      list.length === 0
        ? null
        : `"${target.name}" lacks ${list.length === 1 ? 'a user' : `${list.length} users`} of "${source.name}", and passwords cannot be read from a cluster: ${list.join(', ')}. Set them there by kafka-configs.sh --alter --entity-type users`,
    );
  }

  #tellUnread(what: keyof AroundSurvey, surveyed: Surveyed<unknown> | null): void {
    if (surveyed && 'denied' in surveyed)
      return this.#sayFailure(what, `${NOUNS[what]} do not follow the source`, surveyed.denied);
    const absent = surveyed && 'absent' in surveyed ? surveyed.absent : null;
    this.#say(what, absent === null ? null : `${NOUNS[what]} do not follow the source: ${absent}`);
  }

  /** What a broker says of a missing right names the connection, and so is another text each time. */
  #sayFailure(about: string, consequence: string, error: KafkaError): void {
    if (isDenied(error)) {
      const right = `${rightOf(error)} of "${error.cluster ?? 'a cluster'}"`;
      const text = `${consequence}: ${right} is missing. Copying goes on; "lockstep plan" names the command that grants it.`;
      return this.#say(about, text, 'PERMISSION_DENIED');
    }
    const { code, message, nextStep } = toAppError(error, consequence);
    this.#say(about, `${message}. Copying goes on. ${nextStep ?? ''}`, code);
  }

  #say(about: string, text: string | null, code: ErrorCode = 'SYNC_INCOMPLETE'): void {
    if (text === null) return void this.#said.delete(about);
    if (this.#said.get(about) === text) return;
    this.#said.set(about, text);
    this.#options.onWarning(code, text);
  }
}

const NOUNS = { acls: 'ACLs', quotas: 'Client quotas', users: 'SCRAM users' } as const;

/** The first of them, each with its reason. */
function named(changes: readonly PlannedChange[]): string {
  const shown = changes.slice(0, NAMED_MAX).map(({ subject, reason }) => `${subject} (${reason})`);
  const more = changes.length - shown.length;
  return `${shown.join('; ')}${more > 0 ? `; and ${more} more, which "lockstep plan" lists` : ''}`;
}
