/** The roles that serve requests. None owns an object; the migrations grant their rights. */
export const LOGINS = ['rowhouse_api', 'rowhouse_public', 'rowhouse_auth', 'rowhouse_system'] as const

export type Login = (typeof LOGINS)[number]
