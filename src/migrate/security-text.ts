/** What the readers of logins and certificates share: `security` as a file holds it, and whom it is told. */
import type { SecretRef } from '#contract/cluster-security.ts';
import type { Report, Setting } from './report.ts';
import type { SecretValues } from './secret-values.ts';

/** `security` as a file holds it. */
export interface SecurityText {
  protocol?: string;
  mechanism?: string;
  username?: string;
  password?: SecretRef;
  token?: TokenText;
  ca?: SecretRef;
  certificate?: SecretRef;
  key?: SecretRef;
  keyPassword?: SecretRef;
  serverName?: string;
}

export type TokenText =
  | { file: string }
  | {
      endpoint: string;
      clientId: string;
      clientSecret: SecretRef;
      scope?: string;
      extensions?: Record<string, string>;
    };

export interface ClientOf {
  /** The Cluster's name of ours. */
  readonly cluster: string;
  /** What holds for the cluster, by the name of Kafka's client; undefined where nothing is set. */
  readonly get: (key: string) => Setting | undefined;
  /** Where it is not said by `security.protocol`. */
  readonly protocol?: string;
  readonly report: Report;
  readonly secrets: SecretValues;
}

/** Stands where a value has to stand and is not known. */
export const REPLACE_ME = 'replace-me';

/** A key of a Cluster, as the account names it. */
export function securityKey({ cluster }: ClientOf, key: string): string {
  return `Cluster ${cluster}: spec.security.${key}`;
}

/** Where a setting stands. */
export function placeOf({ file, name }: Setting): string {
  return `${name} in ${file}`;
}

/** As ConfigDef.Type.PASSWORD, and what is as good as one. */
export function isSecretKey(key: string): boolean {
  return /password|passphrase|secret|jaas|token$|credential|keystore\.key|certificates|certificate\.chain|private\.key|basic\.auth|user\.info/i.test(
    key,
  );
}
