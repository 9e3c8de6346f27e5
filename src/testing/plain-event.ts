/** An event of a store that is about nothing in particular. */
export const plainEvent = {
  at: 1,
  type: 't',
  level: 'info',
  jobId: null,
  cluster: null,
  topic: null,
  actor: null,
  message: '',
  data: {},
} as const;
