/**
 * Secrets on their way into resources: as references, never as values. A value that a config provider of Kafka fetches
 * (`${env:NAME}`, `${directory:/path:file}`) stays where it is if a reference of ours can point there.
 */
import type { SecretRef } from '#contract/cluster-security.ts';
import type { Report } from './report.ts';
import { variableOf } from './resource-names.ts';

/** What the classes of `config.providers` do with a path and a key. */
export type ProviderKind = 'env' | 'file' | 'directory' | 'other';
export type ProviderKinds = (name: string) => ProviderKind;

const CLASSES: Readonly<Record<string, ProviderKind>> = {
  EnvVarConfigProvider: 'env',
  FileConfigProvider: 'file',
  DirectoryConfigProvider: 'directory',
};

/** By the class that a file gives; without one by the name that everybody gives it. */
export function providerKind(name: string, className: string | undefined): ProviderKind {
  if (className !== undefined) return CLASSES[className.slice(className.lastIndexOf('.') + 1)] ?? 'other';
  return name === 'env' || name === 'file' || name === 'directory' ? name : 'other';
}

/** `${provider:path:key}`, as org.apache.kafka.common.config.ConfigTransformer reads it. */
interface Variable {
  readonly provider: string;
  readonly path: string;
  readonly key: string;
}

/** Null where `value` is not one variable and nothing else. */
function variableIn(value: string): Variable | null {
  const [, provider, , path, key] = /^\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}$/.exec(value) ?? [];
  return provider === undefined || key === undefined ? null : { provider, path: path ?? '', key };
}

/** Whether something in `value` comes from elsewhere. */
export function hasVariable(value: string): boolean {
  return /\$\{[^}:]*:[^}]*\}/.test(value);
}

export class SecretValues {
  readonly #report: Report;
  readonly #kindOf: ProviderKinds;

  constructor(report: Report, kindOf: ProviderKinds) {
    this.#report = report;
    this.#kindOf = kindOf;
  }

  /** The reference for a secret of a cluster: `key` is the key of its `security`, `from` where the value stands now. */
  refer(cluster: string, key: string, { value, from }: { readonly value: string; readonly from: string }): SecretRef {
    const found = variableIn(value);
    const reference = (found && this.#inPlace(found)) ?? { env: variableOf(cluster, key) };
    const isThere = found !== null && this.#inPlace(found) !== null;
    this.add(cluster, key, { reference, from: found ? `${from}, that is ${value}` : from, isThere });
    return reference;
  }

  add(
    cluster: string,
    key: string,
    secret: { readonly reference: SecretRef; readonly from: string; readonly isThere: boolean },
  ): void {
    this.#report.addSecret({ key: `Cluster ${cluster}: spec.security.${key}`, ...secret });
  }

  #inPlace({ provider, path, key }: Variable): SecretRef | null {
    const kind = this.#kindOf(provider);
    if (kind === 'env' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) return { env: key };
    return kind === 'directory' && path !== '' ? { file: `${path.replace(/\/$/, '')}/${key}` } : null;
  }
}
