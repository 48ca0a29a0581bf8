// Organizations: teams of users, each with a role, who join by invitation. Only a session may read or change
// them; the rooms that own an organization's rows decide what an API token may do with those. The tables are
// Better Auth's, which serves its own endpoints for them below /api/auth, and the rules are Better Auth's,
// too. Never returns a member's mail address.
import { procedure, router } from '#server/rpc/trpc.ts'
import {
  acceptInvitation,
  cancelInvitation,
  createInvitation,
  declineInvitation,
  listInvitations,
} from './invitations.ts'
import {
  createOrganization,
  getOrganization,
  leaveOrganization,
  listMembers,
  listOrganizations,
  removeMember,
  removeOrganization,
  restoreOrganization,
  setActiveOrganization,
  updateMemberRole,
  updateOrganization,
} from './queries.ts'
import * as schema from './schema.ts'

const signedIn = procedure('session')

export const organizationsRouter = router({
  create: signedIn
    .input(schema.createOrganization)
    .output(schema.organization)
    .mutation(({ ctx, input }) => createOrganization(ctx.db, input)),

  list: signedIn.output(schema.organizations).query(({ ctx }) => listOrganizations(ctx.db)),

  get: signedIn
    .input(schema.organizationId)
    .output(schema.organization)
    .query(({ ctx, input }) => getOrganization(ctx.db, input.organizationId)),

  update: signedIn
    .input(schema.updateOrganization)
    .output(schema.organization)
    .mutation(({ ctx, input }) => updateOrganization(ctx.db, input)),

  remove: signedIn
    .input(schema.organizationId)
    .output(schema.removedOrganization)
    .mutation(({ ctx, input }) => removeOrganization(ctx.db, input.organizationId)),

  restore: signedIn
    .input(schema.restoreOrganization)
    .output(schema.organization)
    .mutation(({ ctx, input }) => restoreOrganization(ctx.db, input)),

  leave: signedIn
    .input(schema.organizationId)
    .output(schema.leftOrganization)
    .mutation(({ ctx, input }) => leaveOrganization(ctx.db, input.organizationId)),

  setActive: signedIn
    .input(schema.setActiveOrganization)
    .output(schema.activeOrganization)
    .mutation(({ ctx, input }) => setActiveOrganization(ctx.db, input.organizationId)),

  members: router({
    list: signedIn
      .input(schema.organizationId)
      .output(schema.members)
      .query(({ ctx, input }) => listMembers(ctx.db, input.organizationId)),

    updateRole: signedIn
      .input(schema.updateMemberRole)
      .output(schema.updateMemberRole)
      .mutation(({ ctx, input }) => updateMemberRole(ctx.db, input)),

    remove: signedIn
      .input(schema.member)
      .output(schema.member)
      .mutation(({ ctx, input }) => removeMember(ctx.db, input)),
  }),

  invitations: router({
    create: signedIn
      .input(schema.createInvitation)
      .output(schema.invitation)
      .mutation(async ({ ctx, input }) =>
        createInvitation(await ctx.identity(), { db: ctx.db, services: ctx.services, input }),
      ),

    list: signedIn
      .input(schema.listInvitations)
      .output(schema.invitations)
      .query(({ ctx, input }) => listInvitations(ctx.db, input)),

    cancel: signedIn
      .input(schema.invitationId)
      .output(schema.invitation)
      .mutation(({ ctx, input }) => cancelInvitation(ctx.db, input.id)),

    accept: signedIn
      .input(schema.invitationId)
      .output(schema.organization)
      .mutation(({ ctx, input }) => acceptInvitation(ctx.db, input.id)),

    decline: signedIn
      .input(schema.invitationId)
      .output(schema.invitation)
      .mutation(({ ctx, input }) => declineInvitation(ctx.db, input.id)),
  }),
})
