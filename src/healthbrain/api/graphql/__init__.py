"""$graphql: exactly the elements a client names, across references, in one request (R4 graphql).

    document.read(text, ...) -> Query      parsed by graphql-core, limited in size, depth and fragments
    Answering(...)                         walks stored resources by the FHIR definitions, within the caller's scope

There is no GraphQL schema object: the FHIR definitions are the schema, and an element that is in none of them is an
error with its place. Mutations and subscriptions are not offered; writing has its own doors.
"""

from healthbrain.api.graphql.operation import GraphQl

__all__ = ["GraphQl"]
