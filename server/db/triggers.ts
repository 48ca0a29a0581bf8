// The schema's triggers: what each does, and which rule of the product it keeps. A test holds this list against pg_trigger.

export interface TriggerMetadata {
  readonly name: string
  /** `app.content` */
  readonly table: string
  readonly timing: 'before' | 'after'
  readonly events: readonly ('insert' | 'update' | 'delete')[]
  /** The function that it runs: `app.touch_updated_at` */
  readonly function: string
  /** What it does, and when. */
  readonly description: string
  /** Why it may not be left to whoever writes the statement. */
  readonly businessReason: string
}

/** Tables with an `updated_at`. */
const TOUCHED_TABLES = [
  'app.agent_runs',
  'app.ai_provider_configs',
  'app.api_tokens',
  'app.approvals',
  'app.connections',
  'app.connectors',
  'app.content',
  'app.daily_usage',
  'app.media_items',
  'app.oauth_states',
  'app.provider_keys',
  'app.rate_limits',
  'app.settings',
  'app.task_leases',
  'app.task_messages',
  'app.tasks',
  'app.tool_calls',
  'app.tools',
  'app.user_tools',
  'app.webhook_events',
  'auth.accounts',
  'auth.invitations',
  'auth.members',
  'auth.organizations',
  'auth.sessions',
  'auth.trusted_devices',
  'auth.two_factors',
  'auth.users',
  'auth.verifications',
] as const

const TRIGGERS: readonly TriggerMetadata[] = Object.freeze([
  {
    name: 'trigger_unpublish_on_org_delete',
    table: 'app.content',
    timing: 'before',
    events: ['update'],
    function: 'app.unpublish_content_on_org_delete',
    description: 'Makes a draft of content whose organization goes from set to null.',
    businessReason: 'An organization’s work must never show up on its creator’s personal page by itself.',
  },
  {
    name: 'content_free_slug_on_org_delete',
    table: 'app.content',
    timing: 'before',
    events: ['update'],
    function: 'app.free_slug_on_org_delete',
    description:
      'Numbers the slug of content that leaves its organization where its creator’s page has it already.',
    businessReason:
      'A slug in the way must not keep an organization from being removed, or a member from leaving.',
  },
  {
    name: 'content_hold_page_on_insert',
    table: 'app.content',
    timing: 'before',
    events: ['insert'],
    function: 'app.hold_page',
    description: 'Holds the creator’s own page while a slug is written there.',
    businessReason:
      'Content that leaves its organization at the same moment must see that slug, and go around it.',
  },
  {
    name: 'content_hold_page_on_update',
    table: 'app.content',
    timing: 'before',
    events: ['update'],
    function: 'app.hold_page',
    description: 'The same for a slug that changes, or comes back with what was removed.',
    businessReason:
      'Content that leaves its organization at the same moment must see that slug, and go around it.',
  },
  {
    name: 'content_check_parents_on_insert',
    table: 'app.content',
    timing: 'after',
    events: ['insert'],
    function: 'app.check_content_parents',
    description:
      'Refuses content for a removed organization, on a removed media item, or on a file of another kind.',
    businessReason:
      'Nothing new may hang on what is being removed at the same moment: it would stay visible without it.',
  },
  {
    name: 'content_check_parents_on_update',
    table: 'app.content',
    timing: 'after',
    events: ['update'],
    function: 'app.check_content_parents',
    description: 'The same for a media item that is exchanged, and for content that is restored.',
    businessReason: 'A video can’t come back without its file.',
  },
  {
    name: 'media_items_remove_content',
    table: 'app.media_items',
    timing: 'after',
    events: ['update'],
    function: 'app.follow_deletion',
    description:
      'Removes the content that stands on a removed media item, and brings back what went with it.',
    businessReason:
      'Restoring brings back exactly what one removal took, and nothing that was removed before.',
  },
  {
    name: 'media_items_list_file_removals_on_delete',
    table: 'app.media_items',
    timing: 'after',
    events: ['delete'],
    function: 'app.list_file_removals',
    description: 'Puts the files of a deleted media item on the list of files to remove.',
    businessReason: 'Deleting a user removes everything they own, files included.',
  },
  {
    name: 'media_items_list_file_removals_on_failure',
    table: 'app.media_items',
    timing: 'after',
    events: ['update'],
    function: 'app.list_file_removals',
    description: 'Puts the files of a media item that failed on the list of files to remove.',
    businessReason: 'An upload that was refused or broke off leaves nothing behind.',
  },
  {
    name: 'media_items_limit_inspections',
    table: 'app.media_items',
    timing: 'before',
    events: ['update'],
    function: 'app.limit_media_inspections',
    description: 'Refuses to begin with a file while 32 of its owner’s are being inspected.',
    businessReason: 'One user’s uploads must not keep the others’ waiting, whichever processes inspect them.',
  },
  {
    name: 'organizations_detach_content',
    table: 'auth.organizations',
    timing: 'after',
    events: ['update'],
    function: 'app.detach_organization_content',
    description: 'Takes a removed organization’s content out of it, and so makes drafts of it.',
    businessReason: 'Content stays with its creators, and nothing of a removed organization stays published.',
  },
  {
    name: 'users_close_account',
    table: 'auth.users',
    timing: 'before',
    events: ['delete'],
    function: 'app.close_account_instead',
    description:
      'Removes a user whose row is deleted: hides them, ends their credentials, and leaves their rows to batches.',
    businessReason:
      'Whoever deletes a user, and however much that user has, it takes effect at once and comes to an end.',
  },
  {
    name: 'members_follow_in_batches',
    table: 'auth.members',
    timing: 'after',
    events: ['delete'],
    function: 'app.follow_in_batches',
    description:
      'Takes what a former member shared out of the organization, and ends the API tokens bound to it.',
    businessReason: 'A member with a hundred thousand tasks can leave, or be removed, as fast as any other.',
  },
  {
    name: 'connections_follow_in_batches',
    table: 'app.connections',
    timing: 'after',
    events: ['delete'],
    function: 'app.follow_in_batches',
    description: 'Deletes the webhook events of a removed connection.',
    businessReason: 'A connection with years of events can be removed as fast as any other.',
  },
  ...['api_tokens', 'connections', 'content', 'tasks'].map(
    (table): TriggerMetadata => ({
      name: `${table}_require_membership`,
      table: `app.${table}`,
      timing: 'after',
      events: ['insert', 'update'],
      function: 'app.require_membership',
      description: 'Refuses a row that names an organization to which its owner does not belong.',
      businessReason:
        'Nobody puts a row into an organization that is not theirs, as a foreign key would see to.',
    }),
  ),
  {
    name: 'members_keep_last_owner',
    table: 'auth.members',
    timing: 'before',
    events: ['update', 'delete'],
    function: 'auth.keep_last_owner',
    description: 'Refuses to remove or lower the last owner of an organization.',
    businessReason: 'An organization without an owner is nobody’s to run.',
  },
  {
    name: 'members_cancel_invitations',
    table: 'auth.members',
    timing: 'after',
    events: ['update', 'delete'],
    function: 'auth.cancel_former_inviters_invitations',
    description: 'Cancels the open invitations of somebody who may no longer invite.',
    businessReason: 'Who was removed or lowered must not let anybody in by a mail that is on its way.',
  },
  {
    name: 'sessions_ask_second_factor',
    table: 'auth.sessions',
    timing: 'before',
    events: ['insert'],
    function: 'auth.ask_second_factor',
    description: 'Refuses a session without the second factor to a user who has switched it on.',
    businessReason: 'Whichever way a session is made, a password alone reaches nothing.',
  },
  {
    name: 'users_follow_two_factor',
    table: 'auth.users',
    timing: 'after',
    events: ['update'],
    function: 'auth.follow_two_factor',
    description:
      'Ends what was signed in without the second factor, or was trusted, when it is switched on or off.',
    businessReason: 'Switching the factor on must not leave a door open that was opened without it.',
  },
  {
    name: 'accounts_end_pending_proofs_on_insert',
    table: 'auth.accounts',
    timing: 'after',
    events: ['insert'],
    function: 'auth.end_pending_proofs',
    description:
      'Ends a user’s reset links and sign-in challenges when a password is set for the first time.',
    businessReason: 'A link that was asked for before must not replace what the user chose after it.',
  },
  {
    name: 'accounts_end_pending_proofs',
    table: 'auth.accounts',
    timing: 'after',
    events: ['update'],
    function: 'auth.end_pending_proofs',
    description: 'Ends a user’s reset links and sign-in challenges when the password changes.',
    businessReason: 'A user changes a password that others know, and older links would let those in again.',
  },
  {
    name: 'users_end_pending_proofs',
    table: 'auth.users',
    timing: 'after',
    events: ['update'],
    function: 'auth.end_pending_proofs',
    description: 'Ends a user’s reset links and sign-in challenges when the mail address changes.',
    businessReason: 'Whoever reads the old mailbox has no say in the account any more.',
  },
  {
    name: 'accounts_forget_trusted_devices_on_insert',
    table: 'auth.accounts',
    timing: 'after',
    events: ['insert'],
    function: 'auth.forget_trusted_devices',
    description: 'Forgets a user’s trusted devices when a password is set for the first time.',
    businessReason: 'A new password is a new start: every device proves itself again.',
  },
  {
    name: 'accounts_forget_trusted_devices',
    table: 'auth.accounts',
    timing: 'after',
    events: ['update'],
    function: 'auth.forget_trusted_devices',
    description: 'Forgets a user’s trusted devices when the password changes.',
    businessReason: 'A new password is a new start: every device proves itself again.',
  },
  {
    name: 'tasks_mark_approvals',
    table: 'app.tasks',
    timing: 'after',
    events: ['update'],
    function: 'app.mark_approvals_with_task',
    description: 'Removes a removed task’s approvals with it, and brings them back with it.',
    businessReason: 'Nobody should be asked to decide for a task that is gone.',
  },
  {
    name: 'sessions_set_slides',
    table: 'auth.sessions',
    timing: 'before',
    events: ['insert'],
    function: 'auth.set_session_slides',
    description: 'Notes whether a session is one to be remembered.',
    businessReason: 'Only a session that its user asked to keep is prolonged by use.',
  },
  {
    name: 'sessions_end_leases',
    table: 'auth.sessions',
    timing: 'before',
    events: ['delete'],
    function: 'app.end_credential_leases',
    description: 'Ends the leases that were claimed with a session.',
    businessReason: 'A worker may do no more than what it was started with.',
  },
  {
    name: 'api_tokens_end_leases',
    table: 'app.api_tokens',
    timing: 'before',
    events: ['delete'],
    function: 'app.end_credential_leases',
    description: 'Ends the leases that were claimed with an API token.',
    businessReason: 'A worker may do no more than what it was started with.',
  },
  {
    name: 'tasks_unname_lease',
    table: 'app.tasks',
    timing: 'before',
    events: ['update'],
    function: 'app.unname_task_lease',
    description: 'Takes the lease off a task that is over or removed.',
    businessReason: 'Whoever writes under a lease must meet its end in the task’s own row.',
  },
  {
    name: 'tasks_end_lease',
    table: 'app.tasks',
    timing: 'after',
    events: ['update'],
    function: 'app.end_task_lease',
    description: 'Ends the lease of a task that is over or removed.',
    businessReason: 'A stopped task’s worker writes nothing more.',
  },
  {
    name: 'task_leases_fail_abandoned_messages',
    table: 'app.task_leases',
    timing: 'after',
    events: ['update'],
    function: 'app.fail_abandoned_messages',
    description: 'Fails the messages that a worker left unfinished when its lease ended.',
    businessReason: 'Nobody waits for the rest of a message that nobody writes.',
  },
  {
    name: 'tool_calls_start',
    table: 'app.tool_calls',
    timing: 'before',
    events: ['insert'],
    function: 'app.start_tool_call',
    description: 'Lets a new tool call run, or wait for approval where the catalogue says so.',
    businessReason: 'Whether a call needs approval is not for whoever makes the call to say.',
  },
  {
    name: 'tool_calls_keep_transition',
    table: 'app.tool_calls',
    timing: 'before',
    events: ['update'],
    function: 'app.keep_tool_call_transition',
    description: 'Lets the API end tool calls that are running, and change no other.',
    businessReason: 'A call that waits for approval is moved on by a decision alone.',
  },
  {
    name: 'webhook_events_keep_transition',
    table: 'app.webhook_events',
    timing: 'before',
    events: ['update'],
    function: 'app.keep_webhook_event_transition',
    description: 'Lets the API send dead webhook events around once more, and change no other.',
    businessReason: 'An event’s effect is made once, by whoever holds its claim.',
  },
  ...TOUCHED_TABLES.map(
    (table): TriggerMetadata => ({
      name: `${table.slice(table.indexOf('.') + 1)}_touch_updated_at`,
      table,
      timing: 'before',
      events: ['update'],
      function: 'app.touch_updated_at',
      description: 'Sets updated_at to the time of the change.',
      businessReason: 'No statement can forget it, or set it to something else.',
    }),
  ),
])

/** What is known of a trigger; undefined where there is none of this name. */
export function getTriggerMetadata(name: string): TriggerMetadata | undefined {
  return TRIGGERS.find(trigger => trigger.name === name)
}

/** The triggers of a table such as `app.content`; the schema may be left out. */
export function getTriggersForTable(table: string): TriggerMetadata[] {
  return TRIGGERS.filter(trigger => trigger.table === table || trigger.table.split('.')[1] === table)
}

export function getAllTriggerNames(): string[] {
  return TRIGGERS.map(trigger => trigger.name)
}
