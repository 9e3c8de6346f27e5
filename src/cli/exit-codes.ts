/** Exit codes of every command. Scripts build on them: their meaning never changes. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** `plan`: a run would change something. */
  pending: 3,
  notAllowed: 4,
  /** Findings, or a partition that stopped with an incident. */
  findings: 5,
  interrupted: 130,
} as const;
