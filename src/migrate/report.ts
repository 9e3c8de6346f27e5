/** Collects what becomes of each setting. A setting of which nobody says anything is unknown: none is lost. */
import { fates, type Fate, type MigratedSecret, type MigratedSetting } from '#contract/migration.ts';

/** One setting as it was read. */
export interface Setting {
  readonly file: string;
  readonly line: number | null;
  readonly name: string;
  readonly value: string;
}

export interface Outcome {
  /** Keys of the resources. */
  readonly to?: string;
  readonly note?: string | undefined;
  /** What a person has to do. */
  readonly step?: string | undefined;
  /** The value is, or may hold, a secret. */
  readonly isSecret?: boolean;
}

/** A secret in the place of something else: `password=…` within a value that should hold none. */
const LOOKS_SECRET = /(?:password|passwd|secret|token)["']?\s*[=:]/i;

interface Entry {
  fate: Fate | null;
  isSecret: boolean;
  readonly to: Set<string>;
  readonly notes: Set<string>;
  readonly steps: Set<string>;
}

export class Report {
  readonly #entries = new Map<Setting, Entry>();
  /** Those that stand for others, which are listed. */
  readonly #hidden = new Set<Setting>();
  readonly #secrets: MigratedSecret[] = [];
  readonly #defaults = new Set<string>();

  /** `setting` is one of those that have to be accounted for. */
  expect(setting: Setting): void {
    this.#entry(setting);
  }

  /** What one user of the setting makes of it. Of several the worst counts. */
  tell(setting: Setting | undefined, fate: Fate, { to, note, step, isSecret = false }: Outcome = {}): void {
    if (setting === undefined) return;
    const entry = this.#entry(setting);
    if (entry.fate === null || fates.indexOf(fate) > fates.indexOf(entry.fate)) entry.fate = fate;
    entry.isSecret ||= isSecret;
    if (to !== undefined) entry.to.add(to);
    if (note !== undefined) entry.notes.add(note);
    if (step !== undefined) entry.steps.add(step);
  }

  /** A setting with another value, of which everything that is told is told of `setting`. */
  standFor(setting: Setting, value: string): Setting {
    const whole = { ...setting, value };
    this.#entries.set(whole, this.#entry(setting));
    this.#hidden.add(whole);
    return whole;
  }

  isTold(setting: Setting): boolean {
    return this.#entry(setting).fate !== null;
  }

  /** Those of which nothing is said yet. */
  untold(): Setting[] {
    return [...this.#entries].flatMap(([setting, { fate }]) => (fate === null ? [setting] : []));
  }

  /** What the other system does without being told. */
  tellDefault(text: string): void {
    this.#defaults.add(text);
  }

  addSecret(secret: MigratedSecret): void {
    this.#secrets.push(secret);
  }

  get defaults(): readonly string[] {
    return [...this.#defaults];
  }

  get secrets(): readonly MigratedSecret[] {
    return this.#secrets;
  }

  /** In the order in which the settings were read. */
  settings(): MigratedSetting[] {
    const listed = [...this.#entries].filter(([setting]) => !this.#hidden.has(setting));
    return listed.map(([{ file, line, name, value }, { fate, isSecret, to, notes, steps }]) => ({
      file,
      line,
      setting: name,
      // What nobody knows may be a secret.
      value: isSecret || fate === null || fate === 'unknown' || LOOKS_SECRET.test(value) ? null : value,
      fate: fate ?? 'unknown',
      to: [...to],
      notes: [...notes],
      steps: [...steps],
    }));
  }

  #entry(setting: Setting): Entry {
    let entry = this.#entries.get(setting);
    if (!entry) {
      entry = { fate: null, isSecret: false, to: new Set(), notes: new Set(), steps: new Set() };
      this.#entries.set(setting, entry);
    }
    return entry;
  }
}
