/** What handlers work with. */
import type { Authenticator } from '../auth/authenticator.ts';
import type { KnownDevices } from '../auth/known-device.ts';
import type { SignIn } from '../auth/sign-in.ts';
import type { SingleSignOn } from '../auth/single-sign-on.ts';
import type { LiveHub } from '../live/live-hub.ts';
import type { PersonalNotes } from '../personal-notes.ts';
import type { ServerPorts } from '../ports.ts';
import type { ConfigurationKeeper } from '../configuration-keeper.ts';
import type { ServerSettings } from '../settings.ts';

export interface Context {
  readonly ports: ServerPorts;
  readonly settings: ServerSettings;
  readonly authenticator: Authenticator;
  readonly personal: PersonalNotes;
  readonly signIn: SignIn;
  readonly devices: KnownDevices;
  readonly signOn: SingleSignOn | null;
  readonly live: LiveHub;
  readonly configuration: ConfigurationKeeper;
  /** By the monotonic clock. */
  readonly startedAt: number;
}
